/**
 * What it costs a process to import something, beside another import in alternation, so that a busy machine is busy for
 * both.
 */
import type { Project } from './project.ts';

/**
 * CPU time of the main thread since the process began, in nanoseconds; of all threads where the system does not tell
 * them apart.
 */
const ownTime = `(() => {
  try { return Number(require('node:fs').readFileSync('/proc/self/task/' + process.pid + '/schedstat', 'utf8').split(' ')[0]); }
  catch { const { user, system } = process.cpuUsage(); return (user + system) * 1000; }
})()`;

const timeOf = async (project: Project, names: readonly string[]): Promise<number> => {
  const imports = names.map((name) => `import('${name}')`).join(', ');
  const { output, code } = await project.node('-e', `Promise.all([${imports}]).then(() => console.log(${ownTime}))`);
  if (code !== 0) throw new Error(output);
  return Number(output) / 1e6;
};

const median = (values: readonly number[]): number =>
  values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN;

/** Medians of `rounds` whole processes each, in milliseconds. */
export const importTimes = async (
  project: Project,
  sides: { readonly ours: readonly string[]; readonly theirs: readonly string[]; readonly rounds: number },
): Promise<{ readonly oursMs: number; readonly theirsMs: number }> => {
  const ours: number[] = [];
  const theirs: number[] = [];
  for (let round = 0; round < sides.rounds; round += 1) {
    ours.push(await timeOf(project, sides.ours));
    theirs.push(await timeOf(project, sides.theirs));
  }
  return { oursMs: median(ours), theirsMs: median(theirs) };
};
