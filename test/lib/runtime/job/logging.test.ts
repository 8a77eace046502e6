import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { pino, type Logger, type LoggerOptions } from 'pino';
import { describe, expect, test } from 'vitest';
import { StreamError } from '../../../../lib/core/errors.ts';
import { makeLogger, serialiseError } from '../../../../lib/runtime/job/logging.ts';

/** A logger whose lines stay here. */
const recording = (options: LoggerOptions = {}): { logger: Logger; lines: Record<string, unknown>[] } => {
  const lines: Record<string, unknown>[] = [];
  return {
    lines,
    logger: pino<never>(options, {
      write: (line: string) => void lines.push(JSON.parse(line) as Record<string, unknown>),
    }),
  };
};

describe('errors', () => {
  test('keep code, hint, details and the chain of causes', () => {
    const cause = new StreamError('STORE_FAILED', 'the write failed', {
      cause: new Error('ENOSPC'),
      details: { bytes: 12 },
    });
    const facts = serialiseError(new StreamError('RESTARTS_EXHAUSTED', 'gave up', { cause, hint: 'make room' }));
    expect(facts).toMatchObject({
      type: 'StreamError',
      message: 'gave up',
      code: 'RESTARTS_EXHAUSTED',
      hint: 'make room',
      retryable: false,
      cause: {
        code: 'STORE_FAILED',
        retryable: true,
        details: { bytes: 12 },
        cause: { type: 'Error', message: 'ENOSPC' },
      },
    });
    expect(facts).not.toHaveProperty('details');
    expect(facts).toHaveProperty('stack');
  });

  test('a cause that leads back, and an endless chain, come to an end', () => {
    const loop = new Error('a');
    loop.cause = new Error('b', { cause: loop });
    expect(JSON.stringify(serialiseError(loop))).toContain('"b"');
    let deep = new Error('bottom');
    for (let depth = 0; depth < 1000; depth += 1) deep = new Error(`level ${depth}`, { cause: deep });
    expect(JSON.stringify(serialiseError(deep)).length).toBeLessThan(50_000);
  });

  test('the errors of an AggregateError are listed', () => {
    expect(serialiseError(new AggregateError([new Error('x'), 'y'], 'both'))).toMatchObject({
      message: 'both',
      errors: [{ message: 'x' }, 'y'],
    });
  });

  test.each([undefined, null, 'text', 7, { plain: true }])('what is no error stays as it is: %j', (thrown) => {
    expect(serialiseError(thrown)).toBe(thrown);
  });
});

describe("a user's logger", () => {
  test('is used, with errors serialised under both names', () => {
    const { logger, lines } = recording();
    const error = new StreamError('KEY_INVALID', 'no key');
    makeLogger(logger).warn({ error, err: error }, 'said');
    expect(lines).toMatchObject([{ msg: 'said', error: { code: 'KEY_INVALID' }, err: { code: 'KEY_INVALID' } }]);
  });

  test('keeps serialisers of its own', () => {
    const { logger, lines } = recording({ serializers: { error: () => 'mine', err: () => 'mine too' } });
    makeLogger(logger).warn({ error: new Error('x'), err: new Error('x') });
    expect(lines).toMatchObject([{ error: 'mine', err: 'mine too' }]);
  });

  test.each([null, 7, {}, 'loud'])('refuses %j', (option) => {
    expect(() => makeLogger(option as never)).toThrow(/Expected `logger` to be /);
  });
});

describe('by level', () => {
  test.each([
    ['undefined', ['warn']],
    ["'debug'", ['debug', 'info', 'warn']],
    ["'silent'", []],
  ])('%s: writes to standard error, at once, and nothing to standard output', (option, expected) => {
    const file = fileURLToPath(new URL('../../../../lib/runtime/job/logging.ts', import.meta.url));
    const script = `import { makeLogger } from ${JSON.stringify(file)};
      const logger = makeLogger(${option});
      logger.debug({}, 'debug');
      logger.info({}, 'info');
      logger.warn({}, 'warn');
      process.kill(process.pid, 'SIGKILL');`;
    const { stdout, stderr } = spawnSync(process.execPath, ['--import', 'tsx', '--input-type=module', '-e', script], {
      encoding: 'utf8',
    });
    expect(stdout).toBe('');
    const lines = stderr.split('\n').filter((line) => line !== '');
    expect(lines.map((line) => (JSON.parse(line) as { msg: string }).msg)).toEqual(expected);
  });
});

test('a logger whose destination throws fails nobody', async () => {
  const broken = pino(
    { level: 'trace' },
    {
      write: () => {
        throw new Error('EPIPE');
      },
    },
  );
  const logger = makeLogger(broken);
  for (const level of ['trace', 'debug', 'info', 'warn', 'error', 'fatal'] as const)
    logger[level]({ error: new Error('x') }, 'a line');
});
