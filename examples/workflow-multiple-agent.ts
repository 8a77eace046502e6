/**
 * Two agents on a stream: the first judges each product review, a window gathers the judgements of a product by event
 * time, and the second suggests what to improve. Kill it at any moment and start it again with the same `--state`: it
 * goes on where it was, no model call whose answer had arrived is made again, and the output is as if nothing had
 * happened.
 *
 *     npm start -- --help
 */
import {
  exponentialDelay,
  StreamExecutionEnvironment,
  TumblingEventTimeWindows,
  WatermarkStrategy,
  type WindowContext,
} from 'millrace';
import { ProductSuggestionAgent, type ProductSummary } from './agents/product-suggestion-agent.ts';
import { ReviewAnalysisAgent, type Review, type ReviewAnalysis } from './agents/review-analysis-agent.ts';
import { chatConnection, resultSink, reviewSource } from './command-line.ts';
import { runExample } from './run-example.ts';

/** What buyers said about one product in one window. */
const summarise = (analyses: readonly ReviewAnalysis[], { key, window }: WindowContext): ProductSummary => ({
  id: String(key),
  window: { start: new Date(window.start).toISOString(), end: new Date(window.end).toISOString() },
  reviews: analyses.length,
  scoreHistogram: [1, 2, 3, 4, 5].map((score) => {
    const share = analyses.filter((analysis) => analysis.score === score).length / analyses.length;
    return `${(100 * share).toFixed(1)}%`;
  }),
  complaints: analyses.flatMap(({ complaints }) => complaints),
});

await runExample((options, progress) => {
  const env = StreamExecutionEnvironment.create({
    checkpoint: { directory: options.state, interval: options.intervalMs },
    // A failure that time may mend, such as a model that does not answer, starts the job again from its last
    // checkpoint.
    restart: exponentialDelay({ attempts: 3 }),
    logger: progress.logger,
  });
  env.addResource('chat_model_connection', 'default', chatConnection(options, progress.call));

  // Reviews may be up to a minute out of order; later ones miss their window and are counted.
  const byReviewTime = WatermarkStrategy.boundedOutOfOrderness('1m').withTimestamps(
    (review: Review) => review.ts * 1000,
  );

  env
    .fromSource(reviewSource(options), byReviewTime, 'reviews')
    .keyBy((review) => review.id)
    // `arrival`: results leave in the order of the reviews, however long each call takes, so every run writes the same
    // file.
    .applyAgent(ReviewAnalysisAgent, { outputOrder: 'arrival' })
    .keyBy((analysis) => analysis.id)
    .window(TumblingEventTimeWindows.of(options.windowMs))
    .process(summarise)
    // State belongs to a uid, so windows of another size are refused when the job goes on, not mixed up with the open
    // ones.
    .uid(`window-${options.windowMs}`)
    .keyBy((summary) => summary.id)
    .applyAgent(ProductSuggestionAgent, { outputOrder: 'arrival' })
    .sinkTo(resultSink(options, progress.print), 'results');

  return env.executeAsync('product-suggestions');
});
