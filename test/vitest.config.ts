import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vitest/config';

const source = (path: string): string => fileURLToPath(new URL(`../${path}`, import.meta.url));

export default defineConfig({
  resolve: {
    alias: [
      { find: /^millrace$/, replacement: source('lib/index.ts') },
      { find: /^millrace\/testing$/, replacement: source('lib/testing.ts') },
      { find: /^millrace\/connectors\/cron$/, replacement: source('connectors/cron.ts') },
      { find: /^millrace\/connectors\/csv$/, replacement: source('connectors/files/csv.ts') },
      { find: /^millrace\/connectors\/postgres$/, replacement: source('connectors/postgres/postgres.ts') },
      { find: /^millrace\/connectors\/webhook$/, replacement: source('connectors/http/webhook.ts') },
      {
        find: /^millrace\/connectors\/server-sent-events$/,
        replacement: source('connectors/http/server-sent-events.ts'),
      },
      {
        find: /^millrace\/connectors\/web-socket$/,
        replacement: source('connectors/web-socket/web-socket-source.ts'),
      },
      { find: /^millrace\/connectors\/(.*)$/, replacement: source('connectors/models/$1.ts') },
    ],
  },
  test: {
    include: ['test/**/*.test.ts'],
    pool: 'forks',
    maxWorkers: 2,
    // Only what hangs needs them: a machine that is busy with other things must not fail a test.
    testTimeout: 180_000,
    hookTimeout: 180_000,
    expect: { poll: { timeout: 30_000 } },
    typecheck: { enabled: false },
  },
});
