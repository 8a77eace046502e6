/**
 * How a trigger is called: with a context of the window in hand, whose state and timers the window operator keeps.
 * Keeps I13: a promise is refused.
 */
import type { Timestamp } from '../../lib/core/element.ts';
import { refuseThenable } from '../../lib/core/errors.ts';
import type { OperatorContext } from '../../lib/core/operator.ts';
import { refusedResult } from '../../lib/core/options.ts';
import { givenAway, mapState, type MapState } from '../../lib/core/state-descriptor.ts';
import type { TimeDomain, Timers } from '../../lib/core/timer.ts';
import type { Trigger, TriggerContext, TriggerResult } from './contract.ts';
import type { Pane } from './open-windows.ts';

export interface TriggerCallOptions<T> {
  readonly context: OperatorContext<never>;
  readonly trigger: Trigger<T>;
  readonly timers: Timers;
  /** Whether a time is that of the operator's own timer, with which the window goes: a trigger does not delete it. */
  readonly isOwn: (pane: Pane, time: Timestamp, domain: TimeDomain) => boolean;
}

const results: ReadonlySet<unknown> = new Set<TriggerResult>(['continue', 'fire', 'purge', 'fire-and-purge']);

const nowhere: Pane = { id: Number.NaN, slot: Number.NaN, window: { start: Number.NaN, end: Number.NaN } };

export class TriggerCall<T> implements TriggerContext {
  readonly #options: TriggerCallOptions<T>;
  readonly #states: MapState<number, unknown>;
  #pane = nowhere;

  constructor(options: TriggerCallOptions<T>) {
    this.#options = options;
    this.#states = options.context.state(givenAway(mapState<number, unknown>('trigger', { indexed: false })));
  }

  // ---------- what the operator calls

  element(pane: Pane, value: T, timestamp: Timestamp): TriggerResult {
    this.#pane = pane;
    return this.#checked('onElement', this.#options.trigger.onElement(value, timestamp, pane.window, this));
  }

  timer(pane: Pane, time: Timestamp, domain: TimeDomain): TriggerResult {
    this.#pane = pane;
    const { trigger } = this.#options;
    const result =
      domain === 'event'
        ? trigger.onEventTime?.(time, pane.window, this)
        : trigger.onProcessingTime?.(time, pane.window, this);
    return this.#checked(domain === 'event' ? 'onEventTime' : 'onProcessingTime', result ?? 'continue');
  }

  /** Forgets a window, and gives what the trigger remembered of it. */
  clear(pane: Pane): unknown {
    this.#pane = pane;
    const state = this.#states.get(pane.slot);
    const returned: unknown = this.#options.trigger.clear?.(pane.window, this);
    refuseThenable(returned, '`clear` of the trigger', this.#options.context.uid);
    this.#states.delete(pane.slot);
    return state;
  }

  merge(pane: Pane, states: readonly unknown[]): void {
    this.#pane = pane;
    const returned: unknown = this.#options.trigger.onMerge?.(pane.window, this, states);
    refuseThenable(returned, '`onMerge` of the trigger', this.#options.context.uid);
  }

  // ---------- what the trigger uses

  get state(): unknown {
    return this.#states.get(this.#pane.slot) ?? this.#options.trigger.initialState?.();
  }

  set state(value: unknown) {
    if (value === undefined) this.#states.delete(this.#pane.slot);
    else this.#states.set(this.#pane.slot, value);
  }

  get watermark(): Timestamp {
    return this.#options.timers.watermark;
  }

  now(): Timestamp {
    return this.#options.context.now();
  }

  register(time: Timestamp, domain: TimeDomain = 'event'): void {
    this.#options.timers.register(time, { namespace: this.#pane.id, domain });
  }

  delete(time: Timestamp, domain: TimeDomain = 'event'): void {
    if (!this.#options.isOwn(this.#pane, time, domain))
      this.#options.timers.delete(time, { namespace: this.#pane.id, domain });
  }

  #checked(name: string, result: TriggerResult): TriggerResult {
    if (results.has(result)) return result;
    refuseThenable(result, `\`${name}\` of the trigger`, this.#options.context.uid);
    throw refusedResult(name, `one of ${[...results].map((each) => `'${String(each)}'`).join(', ')}`, result);
  }
}
