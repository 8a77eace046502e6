/** Items of work and what a journal holds of them, made by hand. */
import type { WorkId } from '../../../../lib/core/journal.ts';
import type { Key } from '../../../../lib/core/key.ts';
import type { Outcome } from '../../../../lib/core/work.ts';
import { workKey } from '../../../../lib/runtime/journal/journal-format.ts';
import type {
  CalledRecord,
  ClaimedRecord,
  DoneRecord,
  JournaledItem,
} from '../../../../lib/runtime/journal/work-record.ts';
import { WorkItem } from '../../../../lib/runtime/work/work-item.ts';
import { KeyContext } from '../../../../lib/state/key-context.ts';

export const idOf = (number: number, { branch = 0, operator = 1 } = {}): WorkId => ({
  branch,
  operator,
  keyGroup: 2,
  number,
});

const worker = { name: 'worker', run: async () => {}, apply: () => {} };

/** An item of this content. */
export const itemOf = (content: unknown, id: WorkId, key: Key = 'k'): WorkItem =>
  new WorkItem({
    id,
    key,
    keys: new KeyContext(),
    known: { worker, uid: 'ask', timeoutMs: undefined },
    row: { worker: 'worker', item: content, submittedAt: 0, branch: id.branch },
  });

export const doneOf = (
  item: WorkItem,
  lsn: number,
  outcome: Outcome<unknown> = { ok: true, value: lsn },
): DoneRecord => ({
  kind: 'done',
  lsn,
  ...item.facts(),
  calls: 0,
  outcome,
});

export const calledOf = (item: WorkItem, lsn: number, call = 0): CalledRecord => ({
  kind: 'called',
  lsn,
  ...item.facts(),
  call,
  id: `call ${call}`,
  args: '',
  outcome: { ok: true, value: lsn },
});

export const claimedBy = (from: WorkItem, by: WorkItem, lsn: number): ClaimedRecord => ({
  kind: 'claimed',
  lsn,
  ...from.facts(),
  by: { branch: by.id.branch, number: by.id.number },
});

/** What is joined of an item whose only record is its end. */
export const journaled = (item: WorkItem, lsn: number): JournaledItem => {
  const done = doneOf(item, lsn);
  return { work: item.id, facts: done, calls: new Map(), done, first: lsn, keys: [workKey(item.id, 0, 'done')] };
};
