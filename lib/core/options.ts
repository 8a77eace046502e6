/** Options as users write them: durations with units, and refusals that name the option, the rule and the value. */

/** Milliseconds, or a number with a unit: `'250ms'`, `'10s'`, `'5m'`, `'1h'`, `'1d'`. */
export type Duration = number | `${number}${'ms' | 's' | 'm' | 'h' | 'd'}`;

const unitMs = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const;

/** Says what was expected of an option and what came. */
export const refusal = (option: string, rule: string, value: unknown): TypeError =>
  new TypeError(
    `Expected \`${option}\` to be ${rule}, got \`${show(value)}\` (${value === null ? 'null' : typeof value})`,
  );

/** Says what was expected of what a function of a user returned, and what came. */
export const refusedResult = (fn: string, rule: string, value: unknown): TypeError =>
  new TypeError(
    `Expected \`${fn}\` to return ${rule}, got \`${show(value)}\` (${value === null ? 'null' : typeof value})`,
  );

/** Gives back what a function of a user returned; throws unless it has these methods. */
export const resultWith = <T>(fn: string, value: T, names: readonly (keyof T & string)[]): T => {
  if (hasMethods(value, names)) return value;
  const list = names.map((name) => `\`${name}\``).join(', ').replace(/, (?=[^,]*$)/, ' and ');
  throw refusedResult(fn, `an object with ${list}`, value);
};

const hasMethods = (value: unknown, names: readonly string[]): boolean =>
  typeof value === 'object' && value !== null && names.every((name) => typeof Reflect.get(value, name) === 'function');

/** Reads a duration as milliseconds. Throws a `TypeError` that names the option. */
export const durationMs = (
  option: string,
  value: Duration,
  limits: { readonly min?: number; readonly max?: number } = {},
): number => {
  const { min = 0, max = Number.POSITIVE_INFINITY } = limits;
  const match = typeof value === 'string' ? /^(\d+(?:\.\d+)?)(ms|s|m|h|d)$/.exec(value.trim()) : null;
  // The pattern names the units of the table.
  const ms =
    match === null
      ? typeof value === 'number'
        ? value
        : Number.NaN
      : Number(match[1]) * unitMs[match[2] as keyof typeof unitMs];
  if (Number.isNaN(ms) || ms < min || ms > max) {
    const range = max === Number.POSITIVE_INFINITY ? `of at least ${min} ms` : `from ${min} to ${max} ms`;
    throw refusal(option, `a duration ${range} (a number or like '10s')`, value);
  }
  return ms;
};

/** Checks a whole number. Throws a `TypeError` that names the option. */
export const integer = (
  option: string,
  value: number,
  limits: { readonly min?: number; readonly max?: number } = {},
): number => {
  const { min = 0, max = Number.MAX_SAFE_INTEGER } = limits;
  if (!Number.isInteger(value) || value < min || value > max) {
    throw refusal(
      option,
      max === Number.MAX_SAFE_INTEGER ? `an integer from ${min} up` : `an integer from ${min} to ${max}`,
      value,
    );
  }
  return value;
};

/** Checks a number that need not be whole. Throws a `TypeError` that names the option. */
export const numberFrom = (
  option: string,
  value: number,
  limits: { readonly min: number; readonly max?: number },
): number => {
  const { min, max = Number.POSITIVE_INFINITY } = limits;
  if (typeof value === 'number' && value >= min && value <= max) return value;
  throw refusal(option, `a number from ${min} ${max === Number.POSITIVE_INFINITY ? 'up' : `to ${max}`}`, value);
};

/** Checks that a value is one of a few words. Throws a `TypeError` that names the option. */
export const oneOf = <T extends string>(option: string, value: T, words: readonly T[]): T => {
  if (!words.includes(value)) throw refusal(option, `one of ${words.map((word) => `'${word}'`).join(', ')}`, value);
  return value;
};

/** Checks that a value is true or false. */
export const flag = (option: string, value: boolean): boolean => {
  if (typeof value !== 'boolean') throw refusal(option, 'true or false', value);
  return value;
};

/** Checks that a value is an object with these methods, as far as can be seen from outside. */
export const withMethods = <T extends object>(
  option: string,
  value: T,
  what: string,
  names: readonly (keyof T & string)[],
): T => {
  if (!hasMethods(value, names)) throw refusal(option, what, value);
  return value;
};

/** Checks that a value is a function. */
export const callable = <F extends (...parameters: never[]) => unknown>(option: string, value: F): F => {
  if (typeof value !== 'function') throw refusal(option, 'a function', value);
  return value;
};

/** Checks that a value is a function, or an object with these methods. */
export const callableOr = <T>(option: string, value: T, what: string, names: readonly string[]): T => {
  if (typeof value === 'function') return value;
  // Only looked at.
  withMethods(option, value as Readonly<Record<string, unknown>>, `a function or ${what}`, names);
  return value;
};

/** Each option of `T` by its name: the compiler notices one that is missing as well as one that is too many. */
export type OptionNames<T> = Readonly<Record<keyof Required<T>, true>>;

/** Refuses options that do not exist, so that a misspelt one is noticed. `names` holds all that do. */
export const knownOptions = <T extends object>(owner: string, options: T, names: OptionNames<NoInfer<T>>): void => {
  if (typeof options !== 'object' || options === null) throw refusal(owner, 'an object of options', options);
  for (const name of Object.keys(options)) {
    if (Object.hasOwn(names, name)) continue;
    throw new TypeError(
      `Expected options of \`${owner}\` to be among ${Object.keys(names).join(', ')}, got \`${name}\``,
    );
  }
};

/** Longer texts are cut in a message. */
const shownMax = 200;

const show = (value: unknown): string => {
  const text = textOf(value);
  return text.length > shownMax ? `${text.slice(0, shownMax)}...` : text;
};

const textOf = (value: unknown): string => {
  try {
    if (typeof value === 'string') return value;
    if (typeof value === 'function') return shownFunction(value);
    const text = JSON.stringify(value) ?? String(value);
    return text === '{}' ? `${kindOf(value)}{}` : text;
  } catch {
    return String(value);
  }
};

/** The class of an object that shows nothing of itself as JSON; none for a plain one. */
const kindOf = (value: unknown): string => {
  const { name } = (value as object | null)?.constructor ?? {}; // only read
  // Nobody names the class of a generator: its tag says what it is.
  const kind = name === undefined || name === '' ? Object.prototype.toString.call(value).slice(8, -1) : name;
  return kind === 'Object' ? '' : `${kind} `;
};

/** Its name, or its source if that is short. */
const shownFunction = (value: { readonly name: string }): string => {
  const source = String(value);
  return source.length > 30 && value.name !== '' ? value.name : source;
};
