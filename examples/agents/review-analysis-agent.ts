/** An agent that reads one review: asks a chat model for a score and complaints, and sends what it answered. */
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

/** A line of the input file. The bound on `ts` refuses milliseconds given for seconds. */
export const Review = z.object({
  id: z.string().min(1),
  review: z.string(),
  /** Event time in seconds since the Unix epoch. */
  ts: z.number().min(0).max(100_000_000_000),
});
export type Review = z.infer<typeof Review>;

export interface ReviewAnalysis {
  /** The product. */
  readonly id: string;
  /** 1 to 5. */
  readonly score: number;
  readonly complaints: readonly string[];
}

/** What the model must answer. An answer that does not fit is an error, and asked for again. */
const Analysis = z.object({
  score: z.int().min(1).max(5),
  complaints: z.array(z.string()).max(5),
});

export class ReviewAnalysisAgent extends Agent<Review, ReviewAnalysis> {
  /**
   * A model that fails or talks nonsense is asked three times more, and then fails the job, which starts again where it
   * was.
   */
  static override readonly options = { errorHandling: 'retry', maxRetries: 3 } as const;

  @ChatModel() model = { connection: 'default', prompt: 'reviewPrompt', outputSchema: Analysis };

  @Prompt() reviewPrompt = Prompt.fromMessages([
    {
      role: 'system',
      content: `You read product reviews. Judge how satisfied the buyer is, from 1 (not at all) to 5 (entirely), and list what the buyer
complains about in the buyer's own words: short phrases, at most five, none if there is no complaint.
Answer with JSON only, in this form: {"score": 3, "complaints": ["the lid leaks"]}`,
    },
    { role: 'user', content: 'Review of product {id}:\n"""\n{review}\n"""' },
  ]);

  @Action(InputEvent)
  ask({ input }: InputEvent<Review>, ctx: RunnerContext) {
    // Sensory memory lives as long as this run: the answer comes in another action, perhaps after a crash.
    ctx.sensoryMemory.set('id', input.id);
    const { id, review } = input;
    ctx.sendEvent(new ChatRequestEvent({ model: 'model', promptArgs: { id, review } }));
  }

  @Action(ChatResponseEvent)
  answer({ output: { score, complaints } }: ChatResponseEvent<z.infer<typeof Analysis>>, ctx: RunnerContext) {
    const id = ctx.sensoryMemory.get<string>('id');
    ctx.sendEvent(new OutputEvent({ id, score, complaints }));
  }
}
