/** The way to a part of a value, as errors tell it: `.order.items[3]`; and how far a walk into a value goes. */
import { types } from 'node:util';
import { StreamError } from './errors.ts';

/** Levels of a value that can be stored or written as JSON. */
export const depthMax = 1000;

/** The step to a property of this name. */
export const propertyStep = (name: string): string =>
  /^[A-Za-z_]\w*$/.test(name) ? `.${name}` : `[${JSON.stringify(name)}]`;

/** The steps as one path, cut behind the twentieth; and the words for where that is. */
const shownPath = (steps: readonly string[]): { readonly path: string; readonly where: string } => {
  const path = steps.length > 20 ? [...steps.slice(0, 20), '...'].join('') : steps.join('');
  return { path, where: path === '' ? 'the value' : `\`${path}\`` };
};

/** A walk into a value: it knows the way to the part in hand, and refuses a cycle and what is nested too deep. */
export class ValueWalk {
  /** What can't be done with a part that is refused, for messages. */
  readonly #refused: string;
  /** Objects around the part in hand: meeting one of them again is a cycle. */
  readonly #around: object[] = [];
  readonly #path: string[] = [];

  constructor(refused: string) {
    this.#refused = refused;
  }

  /** The last step to the part in hand. */
  get step(): string {
    return this.#path.at(-1) ?? '';
  }

  /** Goes into an object; throws `NOT_SERIALISABLE` when it has no end. */
  enter(value: object): void {
    if (this.#around.includes(value)) throw this.refusal('a cycle: it contains itself');
    if (this.#around.length >= depthMax) throw this.refusal(`nested deeper than ${depthMax} levels`);
    // It is refused, and what it rejects with later must not end the process as well.
    if (types.isPromise(value)) value.catch(() => {});
    this.#around.push(value);
  }

  leave(): void {
    this.#around.pop();
  }

  /** To a member of it. */
  to(step: string): void {
    this.#path.push(step);
  }

  back(): void {
    this.#path.pop();
  }

  /** What leads back here, from wherever something was refused. */
  mark(): () => void {
    const [path, around] = [this.#path.length, this.#around.length];
    return () => {
      this.#path.length = path;
      this.#around.length = around;
    };
  }

  /** `found`: what the part in hand is. */
  refusal(found: string): StreamError {
    const { path, where } = shownPath(this.#path);
    return new StreamError('NOT_SERIALISABLE', `${where} ${this.#refused}: it is ${found}`, {
      details: { path, found },
    });
  }
}
