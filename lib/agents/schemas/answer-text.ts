/**
 * Finds JSON in what a model says. Thinking aloud is no answer, so reasoning blocks are taken off; models like to say
 * something around the rest, write drafts before the answer, and put it in a fence or not. Gives what may be the
 * answer, the last first; a bounded number of passes over the text (I10).
 */

/**
 * Where a reasoning block begins or ends: `<think>` of DeepSeek, Qwen and others, `[THINK]` of Mistral, and their like.
 */
const thinking =
  /[<[◁](\/?)(?:seed:)?(?:think|thinking|thoughts?|reasoning|scratchpad)[>\]▷]|<\|(begin|end)_of_thought\|>/gi;

/**
 * The answer without what the model thought aloud. A block whose beginning stood in the prompt ends there; one that was
 * cut off has no end.
 */
export const withoutThinking = (text: string): string => {
  let kept = '';
  let from = 0;
  let isThinking = false;
  for (const { 0: tag, 1: slash, 2: word, index } of text.matchAll(thinking)) {
    const isEnd = slash === '/' || word === 'end';
    if (!isEnd && !isThinking) kept += text.slice(from, index);
    if (isEnd && !isThinking) kept = ''; // All before it was thought.
    isThinking = !isEnd;
    from = index + tag.length;
  }
  return (isThinking ? kept : kept + text.slice(from)).trim();
};

/** Pieces of an answer that are tried. */
const piecesMax = 50;
/** Deeper JSON is not read: what follows values down would run out of stack. */
export const nestingMax = 500;

/**
 * What may be the answer, the last first: all of it, what stands in a fence, and each piece of text between brackets
 * that belong together.
 */
export function* candidates(answer: string): Iterable<string> {
  const whole = answer.trim();
  if (isJson(whole)) {
    yield whole;
    return;
  }
  const text = withoutThinking(whole);
  const pieces = [...bracketed(text), ...fenced(text), { start: 0, end: text.length }].slice(-piecesMax);
  const tried = new Set<string>();
  // Of two that end alike the longer one: it has the other within.
  for (const { start, end } of pieces.toSorted((a, b) => b.end - a.end || a.start - b.start)) {
    const piece = text.slice(start, end).trim();
    if (piece !== '' && !tried.has(piece)) yield piece;
    tried.add(piece);
  }
}

const isJson = (text: string): boolean => {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
};

interface Piece {
  readonly start: number;
  readonly end: number;
}

/** What stands between an opening fence and the next, or the end. */
const fenced = (text: string): readonly Piece[] => {
  const pieces: Piece[] = [];
  const fence = /```[\w-]*/g;
  for (let open = fence.exec(text); open !== null; open = fence.exec(text)) {
    const start = open.index + open[0].length;
    const next = text.indexOf('```', start);
    const end = next < 0 ? text.length : next;
    pieces.push({ start, end });
    fence.lastIndex = next < 0 ? text.length : end + 3;
  }
  return pieces;
};

/** The outermost pieces that begin like JSON and end with the bracket that belongs to it, in one pass. */
const bracketed = (text: string): readonly Piece[] => {
  const pieces: Piece[] = [];
  const beginning = /\{(?=\s*["}])|\[(?=\s*(?:["[{\]\d-]|true|false|null))/g;
  for (let open = beginning.exec(text); open !== null; open = beginning.exec(text)) {
    const end = endOf(text, open.index);
    if (end === undefined) break; // The answer was cut off there: a part of it is no answer.
    pieces.push({ start: open.index, end });
    beginning.lastIndex = end;
  }
  return pieces;
};

/**
 * Behind the bracket that belongs to the one at `start`; undefined when there is none. Brackets in strings do not
 * count.
 */
const endOf = (text: string, start: number): number | undefined => {
  const token = /[[\]{}]|"(?:[^"\\\n]|\\.)*"/g;
  token.lastIndex = start;
  let depth = 0;
  for (let found = token.exec(text); found !== null; found = token.exec(text)) {
    const [what] = found;
    if (what === '{' || what === '[') depth += 1;
    else if (what === '}' || what === ']') depth -= 1;
    if (depth === 0) return token.lastIndex;
  }
  return undefined;
};

/** How deep the brackets of a text go. */
export const nestingOf = (text: string): number => {
  let depth = 0;
  let deepest = 0;
  for (const [what] of text.matchAll(/[[\]{}]|"(?:[^"\\]|\\.)*"/g)) {
    if (what === '{' || what === '[') depth += 1;
    else if (what === '}' || what === ']') depth -= 1;
    deepest = Math.max(deepest, depth);
  }
  return deepest;
};
