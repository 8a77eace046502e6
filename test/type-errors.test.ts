/**
 * What the compiler says of a mistake: it names what does not fit, where a user has to look for it. An overload or a
 * union that comes last would be named in its place.
 */
import { symlink } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { root } from './house.ts';
import { Project } from './package/project.ts';

const head = `
import { Action, agent, Agent, ChatModel, ChatResponseEvent, InputEvent, Tool, type RunnerContext } from 'millrace';
import { MemoryStorage, outputTag, StreamExecutionEnvironment, type DeadLetter, WatermarkStrategy } from 'millrace';
import { map } from 'rxjs';
import * as z from 'zod';
interface Order { readonly id: string; readonly euros: number }
const env = StreamExecutionEnvironment.create();
const orders = env.fromCollection<Order>([]).keyBy(({ id }) => id);
class Asking<I> extends Agent<I, string> {}
const shop = agent<Order, string>('shop');
const outputSchema = z.object({ score: z.number() });
`;

/** The mistake; what must be said; and in which words it used to be hidden. */
const mistakes: readonly (readonly [mistake: string, said: RegExp, hidden?: RegExp])[] = [
  ["orders.applyAgent(agent<{ text: string }, string>('x'));", /Property 'text' is missing in type 'Order'/, /new \(/],
  ['orders.applyAgent(class extends Asking<{ text: string }> {});', /Property 'text' is missing in type 'Order'/],
  ['orders.applyAgent(new Asking<{ text: string }>());', /Property 'text' is missing in type 'Order'/, /new \(/],
  [
    "StreamExecutionEnvironment.create({ storage: new MemoryStorage(), checkpoint: { directory: 'x' } });",
    /Type 'string' is not assignable to type 'undefined'/,
  ],
  ["orders.applyAgent(shop, { outputOrder: 'random' });", /'"random"' is not assignable to type 'OutputOrder/],
  [
    "orders.applyAgent(shop, { deadLetters: outputTag<DeadLetter<string>>('x') });",
    /Type 'string' is not assignable to type 'Order'/,
  ],
  ['shop.on(InputEvent, (event: InputEvent<string>) => event.input.length);', /'InputEvent<Order>' is not/, /overload/],
  ['shop.on(InputEvent, ({ input }) => input.euro);', /Property 'euro' does not exist on type 'Order'/],
  ['shop.on(InputEvent, () => {}, { asink: true });', /'asink' does not exist in type 'ActionOptions'/],
  ["shop.on(InputEvent, 'begin', () => {}, { asink: true });", /'asink' does not exist in type/, /overload/],
  ["shop.on('begun', (event) => event.points);", /Property 'points' does not exist on type 'Event'/],
  [
    `class A extends Agent<Order, string> {
      @Action(InputEvent) begin(event: InputEvent<{ text: string }>) { return event.input.text; }
    }`,
    /Property 'text' is missing in type 'Order'/,
    /overload/,
  ],
  [
    `class A extends Agent<Order, string> {
      @ChatModel() model = { connection: 'default', outputSchema };
      @Action(ChatResponseEvent) end({ output }: ChatResponseEvent<{ stars: number }>) { return output.stars; }
    }`,
    /Property 'stars' is missing in type '\{ score: number; \}'/,
    /overload/,
  ],
  [
    `class A extends Agent<Order, string> {
      @Action(InputEvent) begin(_event: InputEvent<Order>, ctx: RunnerContext<number>) { ctx.output(1); }
    }`,
    /'string' is not assignable to type 'number'|'RunnerContext<string>' is not assignable to/,
    /overload/,
  ],
  [
    `class A extends Agent<Order, string> {
      @Tool({ description: 'x', parameters: z.object({ id: z.string() }) }) find({ name }: { name: string }) { return name; }
    }`,
    /Property 'name' is missing in type '\{ id: string; \}'/,
    /overload/,
  ],
  [
    'orders.pipe(map((name: string) => name.length));',
    /Type 'Order' is not assignable to type 'string'/,
    /PipeOptions/,
  ],
];

let project: Project;

beforeAll(async () => {
  project = await Project.make('type-errors');
  await symlink(join(root, 'node_modules'), join(project.directory, 'node_modules'));
});

afterAll(() => project.remove());

const compilerOptions = {
  strict: true,
  exactOptionalPropertyTypes: true,
  target: 'es2022',
  lib: ['es2023', 'esnext.disposable'],
  module: 'nodenext',
  allowImportingTsExtensions: true,
  noEmit: true,
  noErrorTruncation: true,
  types: ['node'],
  skipLibCheck: true,
  paths: { millrace: [`${root}lib/index.ts`] },
};

test.each([
  ['standard', false],
  ['legacy', true],
])(
  'of each mistake the compiler names what does not fit, with %s decorators',
  async (_mode, experimentalDecorators) => {
    const files = mistakes.map((_mistake, index) => `m${index}.ts`);
    await project.write(
      Object.fromEntries(files.map((name, index) => [name, `${head}${mistakes[index]?.[0] ?? ''}\n`])),
    );
    await project.write({
      'types.json': JSON.stringify({ compilerOptions: { ...compilerOptions, experimentalDecorators }, files }),
    });
    const { output } = await project.node(join(root, 'node_modules/typescript/bin/tsc'), '-p', 'types.json');
    const saidOf = (name: string): string =>
      output
        .split(/^(?=\S+\.ts\()/m)
        .filter((each) => each.startsWith(`${name}(`))
        .join('');
    for (const [index, [mistake, said, hidden]] of mistakes.entries()) {
      expect(saidOf(`m${index}.ts`), mistake).toMatch(said);
      if (hidden !== undefined) expect(saidOf(`m${index}.ts`), mistake).not.toMatch(hidden);
    }
    expect(output.split('\n').filter((line) => /^(?!m\d+\.ts|\s|$)/.test(line))).toEqual([]);
  },
);
