/**
 * One agent on a stream: reads product reviews from a file, lets a chat model judge each of them, and prints the
 * judgements.
 *
 *     node --import tsx examples/workflow-single-agent.ts --help
 */
import { exponentialDelay, StreamExecutionEnvironment } from 'millrace';
import { ReviewAnalysisAgent } from './agents/review-analysis-agent.ts';
import { chatConnection, resultSink, reviewSource } from './command-line.ts';
import { runExample } from './run-example.ts';

await runExample((options, progress) => {
  const env = StreamExecutionEnvironment.create({
    checkpoint: { directory: options.state, interval: options.intervalMs },
    // A failure that time may mend, such as a model that does not answer, starts the job again from its last
    // checkpoint.
    restart: exponentialDelay({ attempts: 3 }),
    logger: progress.logger,
  });
  env.addResource('chat_model_connection', 'default', chatConnection(options, progress.call));

  env
    .fromSource(reviewSource(options), undefined, 'reviews')
    // Reviews of one product are analysed one after the other, those of different products at the same time.
    .keyBy((review) => review.id)
    .applyAgent(ReviewAnalysisAgent)
    .sinkTo(resultSink(options, progress.print), 'results');

  return env.executeAsync('review-analysis');
});
