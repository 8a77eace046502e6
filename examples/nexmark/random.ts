/**
 * SplitMix64: random numbers that follow from a seed and the id of an event, so that an event can be made without those
 * before it. The 64 bits stand in two halves, since a number of JavaScript holds 53 and a bigint is slow.
 */
export class SplitMix64 {
  readonly #seed: number;
  #high = 0;
  #low = 0;
  /** The number drawn last. */
  #drawnHigh = 0;
  #drawnLow = 0;

  /** `seed`: a whole number from 0 to 2^32 - 1. */
  constructor(seed: number) {
    this.#seed = seed;
  }

  /** Begins the numbers of an id: a whole number from 0 to 2^53 - 1. */
  begin(id: number): void {
    this.#high = (id / 2 ** 32) | 0;
    this.#low = (id | 0) ^ this.#seed;
    this.#draw(); // Neighbours begin with numbers that are near each other.
  }

  /** A whole number from 0 to `below`, excluded; 0 where `below` is less than 1. */
  below(below: number): number {
    this.#draw();
    return below < 1 ? 0 : (this.#drawnHigh >>> 1) % below;
  }

  /** From 0 to 1, excluded. */
  fraction(): number {
    this.#draw();
    return ((this.#drawnHigh >>> 0) * 2 ** 21 + (this.#drawnLow >>> 11)) / 2 ** 53;
  }

  #draw(): void {
    const before = this.#low;
    this.#low = (before + 0x7f4a7c15) | 0;
    this.#high = (this.#high + 0x9e3779b9 + (this.#low >>> 0 < before >>> 0 ? 1 : 0)) | 0;
    let [high, low] = [this.#high, this.#low];
    low ^= (low >>> 30) | (high << 2);
    high ^= high >>> 30;
    // Times 0xbf58476d1ce4e5b9.
    high = (Math.imul(high, 0x1ce4e5b9) + Math.imul(low, 0xbf58476d) + highOfProduct(low, 0x1ce4, 0xe5b9)) | 0;
    low = Math.imul(low, 0x1ce4e5b9);
    low ^= (low >>> 27) | (high << 5);
    high ^= high >>> 27;
    // Times 0x94d049bb133111eb.
    high = (Math.imul(high, 0x133111eb) + Math.imul(low, 0x94d049bb) + highOfProduct(low, 0x1331, 0x11eb)) | 0;
    low = Math.imul(low, 0x133111eb);
    this.#drawnLow = low ^ ((low >>> 31) | (high << 1));
    this.#drawnHigh = high ^ (high >>> 31);
  }
}

/** The upper 32 bits of the product of two numbers of 32 bits, the second given as its halves. */
const highOfProduct = (value: number, high: number, low: number): number => {
  const valueHigh = value >>> 16;
  const valueLow = value & 0xffff;
  const middle = valueHigh * low + ((valueLow * low) >>> 16);
  const other = valueLow * high + (middle & 0xffff);
  return (valueHigh * high + (middle >>> 16) + (other >>> 16)) | 0;
};
