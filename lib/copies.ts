/**
 * Notices a second copy of the package in one process, as two versions in one tree of dependencies give: a stream,
 * strategy or agent of one copy is none to the other, and the refusals that follow would not say why.
 */
const key = Symbol.for('millrace:copies');
const copies = Number(Reflect.get(globalThis, key) ?? 0) + 1;
Reflect.set(globalThis, key, copies);
if (copies === 2) {
  const message =
    'millrace is loaded twice, and what one copy has made the other does not know: `npm ls millrace` shows who brings it';
  process.emitWarning(message, { code: 'MILLRACE_TWICE' });
}
