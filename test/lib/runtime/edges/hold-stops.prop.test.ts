/** What leaves a queue of holds in slices, beside the same queue that lets everything out at once (I20). */
import fc from 'fast-check';
import { MIN_TIMESTAMP, type Hold, type HoldOptions, type Timestamp } from 'millrace';
import { describe, expect, test } from 'vitest';
import { heldRows, HoldQueue, holdRows } from '../../../../lib/runtime/edges/holds.ts';
import { Later } from '../../../../lib/runtime/edges/later.ts';
import { Places } from '../../../../lib/runtime/edges/places.ts';
import { KeyContext } from '../../../../lib/state/key-context.ts';
import { WorkingSet } from '../../../../lib/state/keyed-state.ts';
import { emptyStore } from '../../../../lib/state/store.ts';

type Action =
  | { readonly kind: 'take'; readonly key: string }
  | { readonly kind: 'emit' | 'release'; readonly which: number; readonly offset: number }
  | { readonly kind: 'watermark'; readonly by: number };

const actions = fc.oneof(
  { weight: 4, arbitrary: fc.record({ kind: fc.constant('take' as const), key: fc.constantFrom('a', 'b', 'c') }) },
  {
    weight: 7,
    arbitrary: fc.record({
      kind: fc.constantFrom('emit' as const, 'emit' as const, 'release' as const),
      which: fc.nat(20),
      offset: fc.integer({ min: -4, max: 4 }),
    }),
  },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('watermark' as const), by: fc.integer({ min: 1, max: 3 }) }) },
);

/** What happens in one turn each. */
const turns = fc.array(fc.array(actions, { minLength: 1, maxLength: 4 }), { maxLength: 40, size: 'max' });

interface Sent {
  readonly name: string;
  readonly timestamp: Timestamp;
  /** When its hold was taken. */
  readonly watermark: Timestamp;
}

interface Driven {
  readonly log: readonly string[];
  /** The watermark that had left before each record. */
  readonly behind: ReadonlyMap<string, Timestamp>;
  readonly sent: readonly Sent[];
  /** How many left in each slice of the queue. */
  readonly slices: readonly number[];
}

interface How {
  /** Results in a turn, and in a slice; undefined: all leave at once, and nothing behind leaves anything. */
  readonly perTurn?: number;
  readonly mayGoOn?: () => boolean;
  /** Slices as they were before: each is followed by a restart. */
  readonly again?: readonly number[];
}

/** Each second watermark leaves timers behind the queue; a record that meets them would fire them all. */
class Driving {
  readonly log: string[] = [];
  readonly sent: Sent[] = [];
  readonly slices: number[] = [];
  readonly behind = new Map<string, Timestamp>();
  readonly #open: { readonly hold: Hold; readonly key: string; readonly watermark: Timestamp }[] = [];
  readonly #later: Later;
  readonly #keys = new KeyContext();
  readonly #state = new WorkingSet({ store: emptyStore, maxParallelism: 8, restored: false, cacheMax: 1e6 }).operator(
    1,
    this.#keys,
  );
  readonly #rows = { holds: this.#state.state(holdRows, 0), held: this.#state.state(heldRows, 1) };
  readonly #options: HoldOptions;
  readonly #how: How;
  #queue: HoldQueue<string>;
  #timersLeft = false;
  #watermark = 0;
  #left: Timestamp = MIN_TIMESTAMP;

  constructor(options: HoldOptions, how: How) {
    this.#options = options;
    this.#how = how;
    this.#later = new Later(new Places().make({ name: 'later', max: 1 }), how.perTurn ?? 0);
    this.#queue = this.#make();
  }

  async run(made: readonly (readonly Action[])[]): Promise<Driven> {
    for (const turn of made) {
      for (const action of turn) this.#act(action);
      await this.#finish();
    }
    while (this.#open.length > 0) {
      this.#act({ kind: 'release', which: 0, offset: 0 });
      await this.#finish();
    }
    expect(this.#queue.size).toBe(0);
    return this;
  }

  #make(): HoldQueue<string> {
    const { perTurn } = this.#how;
    const later = perTurn === undefined ? undefined : this.#later;
    const out = {
      record: (value: string) => {
        expect(this.#timersLeft).toBe(false);
        this.log.push(value);
        this.behind.set(value, this.#left);
      },
      side: () => expect.fail('no side output'),
      watermark: (timestamp: Timestamp) => {
        expect(timestamp).toBeGreaterThan(this.#left);
        this.log.push(`watermark ${(this.#left = timestamp)}`);
        if (later === undefined || timestamp % 2 === 1 || this.#timersLeft) return;
        this.#timersLeft = true;
        later.open();
      },
      status: () => {},
    };
    return new HoldQueue({ ...this.#options, ...this.#rows, keys: this.#keys, out, later });
  }

  #act(action: Action): void {
    const open = this.#open;
    if (action.kind === 'take') {
      const { key } = action;
      this.#keys.within(key, () => {
        open.push({ hold: this.#queue.take(), key, watermark: this.#watermark });
      });
    } else if (action.kind === 'watermark') this.#queue.watermark((this.#watermark += action.by));
    else if (open.length > 0) {
      // A key emits in its first hold.
      const first = open.filter(({ key }, at) => open.findIndex((each) => each.key === key) === at);
      const from = action.kind === 'emit' && this.#options.keyOrder === true ? first : open;
      const held = from[action.which % from.length] as (typeof open)[number]; // The index is inside.
      if (action.kind === 'emit') {
        const name = `${held.key}${this.sent.length}`;
        const timestamp = this.#watermark + action.offset;
        this.sent.push({ name, timestamp, watermark: held.watermark });
        this.#queue.emit(held.hold, name, timestamp);
      } else {
        open.splice(open.indexOf(held), 1);
        this.#queue.release(held.hold);
      }
    }
  }

  async #finish(): Promise<void> {
    const { perTurn = 0, mayGoOn, again } = this.#how;
    while (this.#later.isOpen) {
      if (this.#timersLeft) {
        this.#timersLeft = false;
        this.#later.over();
        continue;
      }
      const recorded = again?.[this.slices.length];
      const sent = again === undefined ? this.#queue.goOn(perTurn, mayGoOn) : this.#queue.goOn(recorded ?? -1);
      expect(sent).toBeLessThanOrEqual(perTurn);
      this.slices.push(sent);
      if (again !== undefined) await this.#restart();
    }
  }

  async #restart(): Promise<void> {
    const snapshot = this.#queue.snapshot();
    if (this.#queue.isStopped) this.#later.over();
    this.#queue = this.#make();
    this.#state.openPhase = true;
    await this.#queue.restore(snapshot);
    this.#state.openPhase = false;
  }
}

const drive = (options: HoldOptions, made: readonly (readonly Action[])[], how: How): Promise<Driven> =>
  new Driving(options, how).run(made);

const recordsOf = ({ log }: Driven): string[] => log.filter((line) => !line.startsWith('watermark'));
const lastWatermarkOf = ({ log }: Driven): string | undefined => log.findLast((line) => line.startsWith('watermark'));

const inKeyOrder: HoldOptions = { overtakeWatermarks: true, keyOrder: true };
const ways: readonly HoldOptions[] = [{}, { order: 'arrival' }, { overtakeWatermarks: true }, inKeyOrder];

/** Now and then a slice has no time left. */
const impatient = (): (() => boolean) => {
  let looks = 0;
  return () => (looks += 1) % 3 !== 0;
};

describe.each(ways)('%o', (options) => {
  test('what leaves in slices meets no timers that are left, and is as late or on time as what leaves at once', async () => {
    let slices = 0;
    await fc.assert(
      fc.asyncProperty(turns, fc.integer({ min: 1, max: 4 }), async (made, perTurn) => {
        const whole = await drive(options, made, {});
        const parts = await drive(options, made, { perTurn, mayGoOn: impatient() });
        // Watermarks with nothing between them may leave as one.
        expect(recordsOf(parts).toSorted()).toEqual(recordsOf(whole).toSorted());
        expect(lastWatermarkOf(parts)).toBe(lastWatermarkOf(whole));
        for (const { name, timestamp, watermark } of parts.sent) {
          const [left, before] = [parts, whole].map(({ behind }) => behind.get(name) ?? Number.NaN) as [number, number];
          if (options.overtakeWatermarks === true) {
            expect([name, timestamp <= left, left <= watermark]).toEqual([name, timestamp <= before, true]);
          } else expect([name, left]).toEqual([name, before]);
        }
        const inOrder = (key: string): boolean =>
          options.order === 'arrival' || (options.keyOrder === true && key !== '');
        for (const key of ['', 'a', 'b', 'c'].filter(inOrder)) {
          const ofKey = (driven: Driven): string[] => recordsOf(driven).filter((line) => line.startsWith(key));
          expect(ofKey(parts)).toEqual(ofKey(whole));
        }
        slices += parts.slices.length;
      }),
      { numRuns: 150 },
    );
    expect(slices).toBeGreaterThan(100);
  });

  test('recorded slices do the same again, with a restart behind each', async () => {
    await fc.assert(
      fc.asyncProperty(turns, fc.integer({ min: 1, max: 4 }), async (made, perTurn) => {
        const first = await drive(options, made, { perTurn, mayGoOn: impatient() });
        const second = await drive(options, made, { perTurn, again: first.slices });
        expect([second.log, second.slices]).toEqual([first.log, first.slices]);
      }),
      { numRuns: 150 },
    );
  });
});
