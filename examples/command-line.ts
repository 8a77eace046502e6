/**
 * The options that the examples share, and what they stand for: the source of reviews, the sink of results, the chat
 * model.
 */
import { createHash } from 'node:crypto';
import { mkdtempSync, openSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import {
  jsonLines,
  jsonLinesSink,
  paced,
  printSink,
  type ChatModelConnectionContract as ChatModelConnection,
  type Sink,
  type Source,
} from 'millrace';
import { offlineChatModel } from 'millrace/connectors/offline-chat-model';
import { openAIChatModel } from 'millrace/connectors/openai-chat-model';
import { Review } from './agents/review-analysis-agent.ts';

export const usage = `Options:
  --input FILE     reviews, one JSON object {"id", "review", "ts"} a line, ts in seconds (default: the sample reviews)
  --output FILE    write results there, each exactly once (default: print them)
  --state DIR      keep state there; started again with it, the job goes on where it was (default: a temporary directory)
  --calls FILE     append a line {"call", "key", "prompt"} before each request to the model
  --window 1d      size of the windows of workflow-multiple-agent, such as 30m, 12h or 1d (default: 1d)
  --interval 1s    time between two checkpoints (default: 1s)
  --pace N         read at most N reviews per second (default: no limit)
  --latency MS     let the offline model take that long, varied by half of it (default: 20)
  --help           say this

Without a model the examples ask an offline one that goes by word lists. MILLRACE_BASE_URL and MILLRACE_MODEL name a server that speaks
OpenAI's protocol and its model, MILLRACE_API_KEY its key.
`;

export interface Options {
  readonly input: string;
  readonly output: string | undefined;
  readonly state: string;
  /** The state directory was made for this run and goes with it. */
  readonly isTemporary: boolean;
  readonly calls: string | undefined;
  readonly windowMs: number;
  readonly intervalMs: number;
  readonly pace: number | undefined;
  readonly latencyMs: number;
  readonly model: { readonly baseUrl: string; readonly model: string; readonly apiKey: string | undefined } | undefined;
}

/** An option that makes no sense; the message names it, says the rule and shows the value. */
export class OptionError extends Error {
  override readonly name = 'OptionError';
}

const sampleReviews = fileURLToPath(new URL('data/reviews.jsonl', import.meta.url));

/** Reads the command line and the environment; undefined when help is asked for. Throws `OptionError`. */
export const readOptions = (args: readonly string[], environment: NodeJS.ProcessEnv): Options | undefined => {
  const given = parse(args);
  if (given.help === true) return undefined;
  for (const [name, value] of Object.entries(given)) if (value === '') throw refusal(`--${name}`, 'not empty', value);
  const options = {
    // An absolute path, because the state remembers the file by it.
    input: resolve(given.input ?? sampleReviews),
    output: given.output,
    calls: given.calls,
    windowMs: durationMs('--window', given.window ?? '1d'),
    intervalMs: durationMs('--interval', given.interval ?? '1s'),
    pace:
      given.pace === undefined
        ? undefined
        : number('--pace', given.pace, { rule: 'a number of reviews per second above 0', holds: (count) => count > 0 }),
    latencyMs: number('--latency', given.latency ?? '20', {
      rule: 'a number of milliseconds from 0 up',
      holds: (ms) => ms >= 0,
    }),
    model: modelOf(environment),
  };
  const state = given.state ?? mkdtempSync(join(tmpdir(), 'millrace-'));
  return { ...options, state, isTemporary: given.state === undefined };
};

/** The reviews of the input file. */
export const reviewSource = ({ input, pace }: Options): Source<Review> => {
  const reviews = jsonLines<Review>(input, { schema: Review });
  return pace === undefined ? reviews : paced(reviews, pace);
};

/** A file that gets each result exactly once, or the terminal. */
export const resultSink = ({ output }: Options, print: (text: string) => void): Sink<unknown> =>
  output === undefined ? printSink({ write: print }) : jsonLinesSink(output);

/** The model that the environment names, or the offline one. */
export const chatConnection = ({ model, latencyMs, calls }: Options, onCall: () => void): ChatModelConnection => {
  const connection = model === undefined ? offlineChatModel({ latencyMs }) : openAIChatModel(model);
  const file = calls === undefined ? undefined : openForAppend(calls);
  return {
    ...connection,
    chat(request, options) {
      const prompt = createHash('sha256').update(JSON.stringify(request.messages)).digest('hex');
      // Written at once and before the request leaves, so no call that was made lacks its line, whenever the process
      // dies.
      if (file !== undefined)
        writeSync(file, `${JSON.stringify({ call: options.callId, key: options.key, prompt })}\n`);
      onCall();
      return connection.chat(request, options);
    },
  };
};

const openForAppend = (path: string): number => {
  try {
    return openSync(path, 'a');
  } catch (error) {
    throw new OptionError(`Expected --calls to be a file that can be written, got \`${path}\`: ${messageOf(error)}`);
  }
};

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));

const parse = (args: readonly string[]) => {
  const text = { type: 'string' } as const;
  try {
    return parseArgs({
      args: [...args],
      options: {
        input: text,
        output: text,
        state: text,
        calls: text,
        window: text,
        interval: text,
        pace: text,
        latency: text,
        help: { type: 'boolean' },
      },
    }).values;
  } catch (error) {
    throw new OptionError(messageOf(error));
  }
};

const modelOf = ({
  MILLRACE_BASE_URL: baseUrl,
  MILLRACE_MODEL: model,
  MILLRACE_API_KEY: apiKey,
}: NodeJS.ProcessEnv): Options['model'] => {
  if (!baseUrl && !model) return undefined;
  if (!baseUrl)
    throw new OptionError(`Expected MILLRACE_BASE_URL to be set beside MILLRACE_MODEL, which is \`${model}\``);
  if (!model) throw new OptionError(`Expected MILLRACE_MODEL to be set beside MILLRACE_BASE_URL`);
  const options = { baseUrl, model, apiKey: apiKey || undefined };
  try {
    // Says what is wrong and quotes nothing that may be a secret, so neither does anything here.
    openAIChatModel(options);
  } catch (error) {
    throw new OptionError(`MILLRACE_BASE_URL and MILLRACE_API_KEY: ${messageOf(error)}`);
  }
  return options;
};

const unitMs: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 };

const durationMs = (option: string, value: string): number => {
  const [, count = '', unit = ''] = /^(\d+(?:\.\d+)?)(ms|s|m|h|d)$/.exec(value) ?? [];
  const ms = Number(count) * (unitMs[unit] ?? Number.NaN);
  if (!Number.isSafeInteger(ms) || ms < 1)
    throw refusal(option, "a number with a unit, at least 1 ms, such as '30m', '12h' or '1d'", value);
  return ms;
};

interface NumberRule {
  readonly rule: string;
  readonly holds: (value: number) => boolean;
}

const number = (option: string, value: string, { rule, holds }: NumberRule): number => {
  const parsed = /^\d+(?:\.\d+)?$/.test(value) ? Number(value) : Number.NaN;
  if (!Number.isFinite(parsed) || !holds(parsed)) throw refusal(option, rule, value);
  return parsed;
};

const refusal = (option: string, rule: string, value: string): OptionError =>
  new OptionError(`Expected ${option} to be ${rule}, got \`${value}\``);
