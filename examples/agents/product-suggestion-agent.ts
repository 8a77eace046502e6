/** An agent that reads what the buyers of a product said in one window, and suggests what its maker should improve. */
import {
  Action,
  Agent,
  ChatModel,
  ChatRequestEvent,
  ChatResponseEvent,
  InputEvent,
  OutputEvent,
  Prompt,
  type RunnerContext,
} from 'millrace';
import * as z from 'zod';

/** The reviews of one product in one window. */
export interface ProductSummary {
  readonly id: string;
  /** From `start` (included) to `end` (excluded), ISO 8601. */
  readonly window: { readonly start: string; readonly end: string };
  /** How many there were. */
  readonly reviews: number;
  /** Share of the scores 1 to 5, such as `12.5%`. */
  readonly scoreHistogram: readonly string[];
  readonly complaints: readonly string[];
}

export interface ProductSuggestion extends Omit<ProductSummary, 'complaints'> {
  readonly suggestions: readonly string[];
}

const Suggestions = z.object({ suggestions: z.array(z.string()).max(3) });

export class ProductSuggestionAgent extends Agent<ProductSummary, ProductSuggestion> {
  static override readonly options = { errorHandling: 'retry', maxRetries: 3 } as const;

  @ChatModel() model = { connection: 'default', prompt: 'suggestionPrompt', outputSchema: Suggestions };

  @Prompt() suggestionPrompt = Prompt.fromMessages([
    {
      role: 'system',
      content: `You advise the makers of products. You get the scores of one product (the share of 1, 2, 3, 4 and 5) and its buyers' complaints.
Suggest up to three improvements, the most wanted first, each in one sentence; none if the buyers want for nothing.
Answer with JSON only, in this form: {"suggestions": ["Improve the seal of the lid"]}`,
    },
    { role: 'user', content: '{summary}' },
  ]);

  @Action(InputEvent)
  ask({ input }: InputEvent<ProductSummary>, ctx: RunnerContext) {
    const { complaints, ...facts } = input;
    ctx.sensoryMemory.set('facts', facts);
    const summary = { id: facts.id, scoreHistogram: facts.scoreHistogram, complaints };
    ctx.sendEvent(new ChatRequestEvent({ model: 'model', promptArgs: { summary } }));
  }

  @Action(ChatResponseEvent)
  answer({ output: { suggestions } }: ChatResponseEvent<z.infer<typeof Suggestions>>, ctx: RunnerContext) {
    const facts = ctx.sensoryMemory.get<Omit<ProductSummary, 'complaints'>>('facts');
    ctx.sendEvent(new OutputEvent({ ...facts, suggestions }));
  }
}
