/**
 * What has come to an operator in front of which its timers fire first: watermarks, the clock, idleness; in order.
 * Timers that are due may be many, so they fire in parts, and the rest is left for turns of its own (I20):
 *
 *  - In the turn that brings an advance at most `Later.perTurn` timers fire, none when their order is not known yet.
 *    What is left is done in slices: turns that fire so many timers, recorded with their number, so that a replay does
 *    the same whatever the machine.
 *  - An advance is over when no timer is left that is due; then it goes on to what stands behind the operator. So the
 *    watermark is held meanwhile, and nothing on time becomes late.
 *  - Nothing overtakes it: while any operator has an advance open, sources are not pulled (a place is full) and no
 *    other turn runs. The turn that has left it ends there: a push in front of the next record, a tick in front of the
 *    next split or of the timers of the clock. What comes in the same turn all the same, say in one that was recorded
 *    before that was so, finishes the advance first: a record through `gate`; anything else waits its turn here.
 *  - An open advance is state: the timers that have not fired are, and the host's part of a checkpoint holds the rest.
 */
import type { Timestamp } from '../../core/element.ts';
import type { TimeDomain } from '../../core/timer.ts';
import type { Later, Unfinished } from '../edges/later.ts';
import type { Gate } from '../edges/receiver.ts';

export type Advance =
  | { readonly kind: TimeDomain; readonly to: Timestamp }
  /** Idleness changes behind the timers of the watermarks before it. */
  | { readonly kind: 'status'; readonly idle: boolean };

/** The timers of an operator, whatever kind it has. */
export interface FiringTimers {
  readonly watermark: Timestamp;
  begin(domain: TimeDomain, to: Timestamp): void;
  isDue(domain: TimeDomain): boolean;
  isReady(domain: TimeDomain): boolean;
  prepare(domain: TimeDomain): void;
  fire(domain: TimeDomain, max: number, mayGoOn?: () => boolean): number;
}

export interface AdvancesSnapshot {
  /** That of the timers, which may be behind the newest that has come. */
  readonly watermark: Timestamp;
  readonly open: readonly Advance[];
}

export interface AdvancesOptions {
  readonly timers: FiringTimers;
  /** Goes on behind the operator. */
  readonly passOn: (advance: Advance) => void;
  /** Open from when the first advance stays open until the last is over. Without it all fire in one turn. */
  readonly later?: Later | undefined;
}

const always = (): boolean => true;

export class Advances implements Unfinished {
  /** Closed while an advance is open. */
  readonly gate: Gate & { isClosed: boolean } = {
    isClosed: false,
    finish: () => void this.goOn(Number.POSITIVE_INFINITY),
  };
  readonly #options: AdvancesOptions;
  #open: Advance[] = [];

  constructor(options: AdvancesOptions) {
    this.#options = options;
  }

  /** Something has come. */
  add(advance: Advance): void {
    const { timers, later } = this.#options;
    if (advance.kind === 'processing' && !this.gate.isClosed) {
      // The clock ticks often and mostly for others.
      timers.begin('processing', advance.to);
      if (!timers.isDue('processing')) return;
    }
    this.#open.push(advance);
    if (this.#open.length > 1) return;
    this.#begin(advance);
    if (later === undefined) this.#run(Number.POSITIVE_INFINITY, undefined);
    else this.#run(later.perTurn, always);
    if (this.#open.length > 0) this.#setOpen(true);
  }

  /** Whether the next timers can fire at once. */
  get isReady(): boolean {
    const [head] = this.#open;
    return head === undefined || head.kind === 'status' || this.#options.timers.isReady(head.kind);
  }

  /** One step towards `isReady`, outside a turn. */
  prepare(): void {
    const [head] = this.#open;
    if (head !== undefined && head.kind !== 'status') this.#options.timers.prepare(head.kind);
  }

  /** Fires at most `max` timers of what is open, while `mayGoOn` says yes. Runs in a turn. Returns how many. */
  goOn(max: number, mayGoOn?: () => boolean): number {
    const fired = this.#run(max, mayGoOn);
    if (this.#open.length === 0) this.#setOpen(false);
    return fired;
  }

  snapshot(): AdvancesSnapshot | undefined {
    return this.#open.length === 0 ? undefined : { watermark: this.#options.timers.watermark, open: [...this.#open] };
  }

  /** The timers have their watermark again. */
  restore({ open }: AdvancesSnapshot): void {
    this.#open = [...open];
    const [head] = this.#open;
    if (head === undefined) return;
    this.#begin(head);
    this.#setOpen(true);
  }

  #begin(advance: Advance): void {
    if (advance.kind !== 'status') this.#options.timers.begin(advance.kind, advance.to);
  }

  #run(max: number, mayGoOn: (() => boolean) | undefined): number {
    const { timers, passOn, later } = this.#options;
    let fired = 0;
    for (let head = this.#open[0]; head !== undefined; head = this.#open[0]) {
      if (head.kind !== 'status') {
        if (timers.isDue(head.kind)) fired += timers.fire(head.kind, max - fired, mayGoOn);
        if (timers.isDue(head.kind)) return fired;
      }
      const opened = later?.opened;
      passOn(head);
      this.#open.shift();
      if (this.#open[0] === undefined) return fired;
      this.#begin(this.#open[0]);
      // What fires next would meet what this has left behind the operator.
      if (later?.opened !== opened && max !== Number.POSITIVE_INFINITY) return fired;
    }
    return fired;
  }

  #setOpen(isOpen: boolean): void {
    if (this.gate.isClosed === isOpen) return;
    this.gate.isClosed = isOpen;
    if (isOpen) this.#options.later?.open();
    else this.#options.later?.over();
  }
}
