/**
 * Reads a prompt as a model would, by plain rules: which part is the customer's text, which is data, and which JSON is
 * asked for; then fills that JSON from the analysis, property by property, by name and type.
 */
import type { ChatMessage } from '../../lib/core/model.ts';
import type { TextAnalysis, WordRatings } from './offline-analysis.ts';
import { analyse, suggest } from './offline-analysis.ts';

export type JsonSchema = Readonly<Record<string, unknown>>;

/** What a prompt is about. */
interface Subject {
  readonly text: string;
  readonly id: string;
  /**
   * Complaints that the prompt lists, as a summary of many reviews does; undefined when it lists none, not even that
   * there are none.
   */
  readonly listed: readonly string[] | undefined;
  /** Share of each score from 1 to 5, when the prompt gives them. */
  readonly histogram: readonly number[] | undefined;
}

/** What there is to say. */
interface Findings extends Subject {
  readonly analysis: TextAnalysis;
  readonly ratings: WordRatings;
  readonly complaints: readonly string[];
  readonly suggestions: readonly string[];
  readonly summary: string;
}

/** The answer's text: JSON when a schema or the prompt asks for it, else a sentence. */
export const answerTo = (options: {
  readonly messages: readonly ChatMessage[];
  readonly outputSchema: JsonSchema | undefined;
  readonly ratings: WordRatings;
}): string => {
  const { messages, outputSchema, ratings } = options;
  const prompt = messages.map(({ content }) => content).join('\n');
  const data = messages.findLast(({ role }) => role === 'user')?.content ?? prompt;
  const skeleton = skeletonOf(prompt);
  const schema = outputSchema ?? (skeleton === undefined ? undefined : schemaOf(skeleton));
  // What only shows the form of the answer must not be taken for data.
  const findings = findingsOf(subjectOf(skeleton === undefined ? data : data.replace(skeleton.text, '')), ratings);
  if (schema === undefined) return findings.summary;
  return JSON.stringify(fill({ name: 'answer', schema, root: schema }, findings));
};

// ---------- reading the prompt

const textNames = ['review', 'text', 'comment', 'feedback', 'body', 'content', 'message', 'input'];
const answerNames = /score|rating|reason|complaint|suggest|sentiment|summary|issue|label|improve/i;
const answerWords = /(answer|respon\w+|reply|return|output|format|schema|example|json)[^{}]*$/i;
const inputWords = /input(?! and| to)[^{}]{0,30}$/i;

interface Braces {
  readonly start: number;
  readonly text: string;
  /** When it is JSON. */
  readonly value: Readonly<Record<string, unknown>> | undefined;
}

const subjectOf = (data: string): Subject => {
  const objects = bracesOf(data).flatMap(({ value }) => (value === undefined ? [] : [value]));
  const object = objects.findLast(
    (value) => textNames.some((name) => typeof value[name] === 'string') || Object.values(value).some(isStrings),
  );
  const named = textNames.map((name) => object?.[name]).find((value) => typeof value === 'string');
  const id = object?.id ?? /\b(?:id|product|item|of)[\s:=]+"?([A-Z0-9][\w-]*\d[\w-]*)/i.exec(data)?.[1] ?? '';
  const lists = Object.entries(object ?? {}).flatMap(([name, value]) =>
    isStrings(value) && !isHistogram(value, name) ? [value] : [],
  );
  const listed = object === undefined ? listedIn(data) : lists.flat();
  return {
    text: typeof named === 'string' ? named : labelledText(data),
    id: String(id),
    // An empty list beside a text says nothing of the text; alone it says that nobody complained.
    listed: listed.length > 0 || (lists.length > 0 && named === undefined) ? listed : undefined,
    histogram: histogramIn(object ?? {}, data),
  };
};

/**
 * The text behind the label that introduces it ("Review: ...", "list complaints: ..."), up to an instruction about the
 * answer.
 */
const labelledText = (data: string): string => {
  const quoted = /"""([\s\S]+?)"""|<(review|text|input)>([\s\S]+?)<\/\2>/i.exec(data);
  if (quoted !== null) return (quoted[1] ?? quoted[3] ?? '').trim();
  const label =
    /\b(?:review|text|comment|feedback|complaints?|reasons?|input|message)\b[^:.!?\n]{0,60}:\s+(?=\S)/i.exec(data);
  const text = label === null ? data : data.slice(label.index + label[0].length);
  return text.replace(/\n\s*(?:please\s+)?(?:answer|respond|reply|return|output|give|use)\b[\s\S]*$/i, '').trim();
};

/** Complaints of a prompt without a JSON object: JSON arrays, bullets, or what follows "complaints:". */
const listedIn = (data: string): readonly string[] => {
  const arrays = [...data.matchAll(/\[[^[\]{}]*\]/g)].flatMap(([text]) => {
    const value = parsed(text);
    return isStrings(value) && !isHistogram(value, '') ? value : [];
  });
  if (arrays.length > 0) return arrays;
  const bullets = [...data.matchAll(/^\s*(?:[-*\u2022]|\d+[.)])\s+(.+)$/gm)].map(([, text]) => (text ?? '').trim());
  if (bullets.length > 0) return bullets.filter((text) => !/^[1-5]\s*(?:stars?)?\s*[:=]/.test(text));
  const line = /(?:complaints?|reasons?|issues?|problems?)\b[^:\n]{0,40}:\s*(.+)/i.exec(data)?.[1] ?? '';
  return line.includes(';') || line.includes(' | ')
    ? line
        .split(/;|\|/)
        .map((text) => text.trim())
        .filter((text) => text !== '')
    : [];
};

const isStrings = (value: unknown): value is readonly string[] =>
  Array.isArray(value) && value.every((item) => typeof item === 'string');

/** Five numbers or percentages. */
const isHistogram = (value: unknown, name: string): value is readonly (string | number)[] =>
  Array.isArray(value) &&
  value.length === 5 &&
  value.every((item) => (typeof item === 'number' ? item >= 0 : /^\d+(?:\.\d+)?\s*%?$/.test(String(item)))) &&
  !/id/i.test(name);

const histogramIn = (object: Readonly<Record<string, unknown>>, data: string): readonly number[] | undefined => {
  const arrays = [...Object.values(object), ...[...data.matchAll(/\[[^[\]{}]*\]/g)].map(([text]) => parsed(text))];
  const found = arrays.find((value): value is readonly (string | number)[] => isHistogram(value, ''));
  const counts = found?.map((item) => Number.parseFloat(String(item))) ?? countsByScore(data);
  const total = counts?.reduce((sum, count) => sum + count, 0) ?? 0;
  return counts === undefined || total === 0 ? undefined : counts.map((count) => count / total);
};

/** "1: 3, 2: 0, ..." or {"1": 3, ...} */
const countsByScore = (data: string): readonly number[] | undefined => {
  const counts = [1, 2, 3, 4, 5].map(
    (score) => new RegExp(`(?<![\\w.])"?${score}"?\\s*(?:stars?)?\\s*[:=]\\s*(\\d+(?:\\.\\d+)?)`).exec(data)?.[1],
  );
  return counts.every((count) => count !== undefined) ? counts.map(Number) : undefined;
};

/** Outermost {...} of a text; strings with braces in them are respected. */
const bracesOf = (text: string): readonly Braces[] => {
  const found: Braces[] = [];
  let depth = 0;
  let start = 0;
  for (const { 0: token, index } of text.matchAll(/"(?:[^"\\\n]|\\.)*"|[{}]/g)) {
    if (token === '{') {
      if (depth === 0) start = index;
      depth += 1;
    } else if (token === '}' && depth > 0) {
      depth -= 1;
      if (depth > 0) continue;
      const inner = text.slice(start, index + 1);
      const value = parsed(inner);
      found.push({
        start,
        text: inner,
        // What JSON gives is an object of names.
        value: typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : undefined,
      });
    }
  }
  return found;
};

const parsed = (text: string): unknown => {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
};

/** The JSON example that the prompt wants its answer to look like. */
const skeletonOf = (prompt: string): Braces | undefined => {
  let best: Braces | undefined;
  let bestRank = 1;
  for (const braces of bracesOf(prompt)) {
    const before = prompt.slice(Math.max(0, braces.start - 120), braces.start);
    const names = [...braces.text.matchAll(/"([^"]+)"\s*:/g)].map(([, name]) => name ?? '');
    let rank = names.some((name) => answerNames.test(name)) ? 1 : 0;
    if (answerWords.test(before)) rank += 2;
    if (inputWords.test(before)) rank -= 3;
    if (names.some((name) => textNames.includes(name))) rank -= 2;
    if (rank > bestRank) {
      best = braces;
      bestRank = rank;
    }
  }
  return best;
};

/** A JSON Schema in the prompt stands for itself; of any other example the names and kinds of its members count. */
const schemaOf = ({ text, value }: Braces): JsonSchema =>
  value?.type === 'object' && typeof value.properties === 'object'
    ? value
    : { type: 'object', properties: Object.fromEntries(skeletonProperties(text)) };

/** Members of an example that may be no JSON itself (`{"score": 1-5, "reasons": [...]}`), at its first level. */
const skeletonProperties = (text: string): readonly (readonly [string, JsonSchema])[] => {
  const properties: (readonly [string, JsonSchema])[] = [];
  let depth = 0;
  for (const { 0: token, 1: name, 2: value = '' } of text.matchAll(
    /"((?:[^"\\]|\\.)*)"\s*:\s*(\[?\s*[^\s,\]}]?[^,\]}\n]{0,40})|[{}]/g,
  )) {
    if (token === '{') depth += 1;
    else if (token === '}') depth -= 1;
    else if (depth === 1 && name !== undefined) properties.push([name, guessType(value.trim())]);
    if (value.includes('{')) depth += 1;
  }
  return properties;
};

const guessType = (value: string): JsonSchema => {
  if (value.startsWith('[')) return { type: 'array', items: guessType(value.slice(1).trim()) };
  if (/^(?:true|false|<?bool)/i.test(value)) return { type: 'boolean' };
  if (/^(?:<?int|-?\d+(?!\.\d))/i.test(value)) return { type: 'integer' };
  if (/^(?:<?num|<?float|-?\d)/i.test(value)) return { type: 'number' };
  return { type: 'string' };
};

// ---------- answering

const findingsOf = (subject: Subject, ratings: WordRatings): Findings => {
  const analysis = analyse(subject.text, ratings);
  const complaints = subject.listed ?? analysis.complaints;
  const lowShare = (subject.histogram?.[0] ?? 0) + (subject.histogram?.[1] ?? 0);
  const suggestions = suggest(complaints, lowShare);
  return { ...subject, analysis, ratings, complaints, suggestions, summary: summaryOf(subject, analysis) };
};

const summaryOf = ({ listed, histogram }: Subject, { sentiment, score, complaints, praises }: TextAnalysis): string => {
  if (listed !== undefined || histogram !== undefined) {
    const { length: count } = listed ?? [];
    const mean = histogram?.reduce((sum, share, index) => sum + share * (index + 1), 0);
    return `${count} complaint${count === 1 ? '' : 's'}${mean === undefined ? '' : `, mean score ${mean.toFixed(1)} of 5`}`;
  }
  const said = [...praises.slice(0, 2), ...complaints.slice(0, 2)];
  return `${sentiment.charAt(0).toUpperCase()}${sentiment.slice(1)}, ${score} of 5${said.length === 0 ? '' : `: ${said.join('; ')}`}`;
};

interface Field {
  readonly name: string;
  readonly schema: JsonSchema;
  /** Where `$ref` points into. */
  readonly root: JsonSchema;
}

const fill = (field: Field, findings: Findings): unknown => {
  const schema = resolve(field);
  const { name, root } = field;
  if (schema.const !== undefined) return schema.const;
  if (Array.isArray(schema.enum)) return chooseFrom(schema.enum, findings);
  switch (typeOf(schema)) {
    case 'object': {
      // What JSON Schema says of it.
      const properties = Object.entries((schema.properties ?? {}) as Readonly<Record<string, JsonSchema>>);
      return Object.fromEntries(
        properties.map(([key, property]) => [key, fill({ name: key, schema: property, root }, findings)]),
      );
    }
    case 'array':
      return fillArray({ name, schema, root }, findings);
    case 'integer':
      return Math.round(numberFor(name, schema, findings));
    case 'number':
      return numberFor(name, schema, findings);
    case 'boolean':
      return booleanFor(name, findings);
    case 'null':
      return null;
    default:
      return stringFor(name, schema, findings);
  }
};

/** Follows `$ref`, and takes the first choice that is not null of a union. */
const resolve = ({ schema, root }: Field): JsonSchema => {
  let now = schema;
  for (let step = 0; step < 10; step += 1) {
    const choices = now.anyOf ?? now.oneOf ?? now.allOf;
    if (typeof now.$ref === 'string') {
      const parts = now.$ref
        .replace(/^#\/?/, '')
        .split('/')
        .filter((part) => part !== '');
      // A path through a schema passes objects.
      now = parts.reduce<JsonSchema>((at, part) => (at[part] ?? {}) as JsonSchema, root);
    } else if (Array.isArray(choices))
      now = (choices as readonly JsonSchema[]).find((choice) => choice.type !== 'null') ?? {}; // A union is of schemas.
    else return now;
  }
  return {};
};

const typeOf = ({ type, properties, items }: JsonSchema): string => {
  const first: unknown = Array.isArray(type) ? type.find((word) => word !== 'null') : type;
  return typeof first === 'string'
    ? first
    : properties !== undefined
      ? 'object'
      : items !== undefined
        ? 'array'
        : 'string';
};

const fillArray = ({ name, schema, root }: Field, findings: Findings): readonly unknown[] => {
  const items = (schema.items ?? {}) as JsonSchema; // What JSON Schema says of it.
  const type = typeOf(resolve({ name, schema: items, root }));
  const max = typeof schema.maxItems === 'number' ? schema.maxItems : Number.POSITIVE_INFINITY;
  if (type === 'integer' || type === 'number') return (findings.histogram ?? []).slice(0, max);
  const list = listFor(name, findings).slice(0, max);
  if (type !== 'object') return list;
  // One object per phrase, filled as if the phrase were the whole text.
  const { id, ratings } = findings;
  return list.map((phrase) =>
    fill(
      { name, schema: items, root },
      findingsOf({ text: phrase, id, listed: undefined, histogram: undefined }, ratings),
    ),
  );
};

const listFor = (name: string, { analysis, complaints, suggestions }: Findings): readonly string[] => {
  if (/suggest|improve|recommend|advice|action/i.test(name)) return suggestions;
  if (/prais|pros$|positive|strength|highlight|like/i.test(name)) return analysis.praises;
  if (/theme|topic|aspect|tag|keyword|categor/i.test(name)) return analysis.themes.map((theme) => theme.name);
  return complaints;
};

const numberFor = (name: string, schema: JsonSchema, { analysis, histogram, complaints }: Findings): number => {
  const { minimum, maximum } = schema;
  // A schema library bounds any integer by what is safe; such a bound is no scale.
  const boundOf = (bound: unknown): number | undefined =>
    typeof bound === 'number' && Math.abs(bound) <= 1000 ? bound : undefined;
  const min = boundOf(minimum);
  const max = boundOf(maximum);
  const bounded = (value: number): number => Math.min(max ?? value, Math.max(min ?? value, value));
  if (/confiden|probab|certain/i.test(name)) return bounded(Math.round(50 + 50 * Math.abs(analysis.valence)) / 100);
  if (/count|number|total/i.test(name)) return bounded(complaints.length);
  const score = histogram?.reduce((sum, share, index) => sum + share * (index + 1), 0) ?? analysis.score;
  // Another scale than 1 to 5 is stretched.
  if (min !== undefined && max !== undefined && max > min) return min + ((score - 1) / 4) * (max - min);
  return bounded(score);
};

const booleanFor = (name: string, { analysis, complaints }: Findings): boolean => {
  const theme = analysis.themes.some((each) =>
    each.name.split(' ').some((word) => word.length > 3 && name.toLowerCase().includes(word)),
  );
  if (theme) return complaints.length > 0;
  if (/negative|complain|problem|issue|dissatis|unsatis/i.test(name)) return complaints.length > 0;
  if (/shipping|delivery|refund|return|urgent|escalat|alert|notify/i.test(name))
    return /urgent|escalat|alert|notify/i.test(name) && analysis.score === 1;
  return analysis.score >= 4;
};

const stringFor = (name: string, schema: JsonSchema, findings: Findings): string => {
  const { analysis, complaints, suggestions, summary, id, text } = findings;
  const max = typeof schema.maxLength === 'number' ? schema.maxLength : Number.POSITIVE_INFINITY;
  const value = (): string => {
    if (/(^|_)id$|Id$|^product$/.test(name)) return id;
    if (/sentiment|label|polarity|mood/i.test(name)) return analysis.sentiment;
    if (/suggest|improve|recommend|advice/i.test(name)) return suggestions[0] ?? '';
    if (/complaint|reason|issue|problem|phrase/i.test(name)) return complaints[0] ?? '';
    if (/theme|topic|categor|aspect/i.test(name)) return analysis.themes[0]?.name ?? 'other';
    if (/^(?:review|text|quote)$/i.test(name)) return text;
    return summary;
  };
  return value().slice(0, max);
};

/** The word of an enum that fits: the sentiment, the score, a theme; else the first. */
const chooseFrom = (choices: readonly unknown[], { analysis }: Findings): unknown => {
  const fits = (word: string): unknown =>
    choices.find((choice) => String(choice).toLowerCase().startsWith(word.slice(0, 3).toLowerCase()));
  if (choices.includes(analysis.score)) return analysis.score;
  const byTheme = analysis.themes.map(({ name }) => fits(name)).find((choice) => choice !== undefined);
  return (
    fits(analysis.sentiment) ??
    byTheme ??
    choices.find((choice) => /other|unknown|mixed/i.test(String(choice))) ??
    choices[0]
  );
};
