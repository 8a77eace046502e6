/** What the body of a work item needs of the life it runs in, and of who started it. */
import type { Outcome } from '../../core/work.ts';
import type { Journal } from '../journal/journal.ts';
import type { AttemptServices } from './durable-call.ts';
import type { Macrotasks } from './macrotasks.ts';
import type { PlaceOwner } from './placed-attempt.ts';
import type { RecordedItem } from './recorded-calls.ts';
import type { WorkItem } from './work-item.ts';

export interface BodyServices extends AttemptServices {
  readonly journal: Journal;
  readonly macrotasks: Macrotasks;
  /** False while the job stops: no call starts any more. */
  readonly accepting: boolean;
  /** Freeze what bodies are given: a test mode. */
  readonly freeze?: boolean | undefined;
  /** What the journal holds of an item; taken once. */
  recorded(item: WorkItem): RecordedItem | undefined;
  /** Says that a body asks for other calls than were recorded. Fails the job in strict mode. */
  diverged(item: WorkItem, what: string): void;
  /** Says that a body has waited long for an outcome, and goes on in another order than before. */
  overtaken(item: WorkItem, what: string): void;
  /** Fails the job. */
  failWork(error: unknown): void;
}

/** Who started a body, and bounds how many are in flight. */
export interface BodyOwner extends PlaceOwner {
  /** The body's outcome is durable. Called once. */
  ended(item: WorkItem, outcome: Outcome<unknown>): void;
}
