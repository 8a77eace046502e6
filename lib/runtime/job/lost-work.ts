/**
 * Says what work is open when a job stops that keeps nothing: its time is over, and nobody does it any more (I22). Its
 * number stays readable as `workOpen`.
 */
import type { Logger } from '../../core/logger.ts';
import type { OperatorHost } from '../hosts/operator-host.ts';

export const tellLostWork = (
  operators: readonly Pick<OperatorHost<never, unknown>, 'uid' | 'workQueue'>[],
  job: string,
  logger: Logger,
): void => {
  const open = operators.flatMap(({ uid, workQueue }) =>
    workQueue === undefined || workQueue.open === 0 ? [] : [[uid, workQueue.open] as const],
  );
  if (open.length === 0) return;
  const counts = open.map(([uid, count]) => `${count} of \`${uid}\``).join(', ');
  logger.warn(
    { job, open: Object.fromEntries(open) },
    `job "${job}" was stopped with work open that nothing keeps without a place for state, and that is lost: ${counts}; see the metric workOpen`,
  );
};
