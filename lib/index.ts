/** The whole public surface, and the only barrel. */

// ---------- pipelines
export { StreamExecutionEnvironment, type ApplyAgentOptions, type CheckpointOptions, type EnvironmentOptions } from './environment.ts';
export { DataStream, KeyedStream, WindowedStream } from './data-stream.ts';
export { DataStreamSink } from './data-stream-sink.ts';
export { WatermarkStrategy } from './runtime/watermarks.ts';
export { Job, type JobState, type JobStatus } from './runtime/job.ts';
export type { CheckpointStats } from './runtime/coordinator.ts';
export { exponentialDelay, failureRate, fixedDelay, noRestart, type ExponentialDelayOptions, type RestartStrategy } from './runtime/restart.ts';
export type { JobMetrics } from './runtime/metrics.ts';

// ---------- operators
export { keyedConcatMap, type KeyedConcatMapOptions } from '../operators/keyed-concat-map.ts';
export type { AggregateFunction, ReduceFunction } from '../operators/aggregate.ts';
export { type AsyncMapOptions } from '../operators/async-map.ts';
export { type, type ProcessContext, type ProcessFunction, type ProcessObject } from '../operators/process.ts';
export { type DeadLetter } from '../operators/agent-options.ts';
export type { ProcessWindowFunction, ProcessWindowObject, WindowContext } from '../operators/window-function.ts';
export { TumblingEventTimeWindows, type TimeWindow, type WindowAssigner } from '../operators/window-assigners.ts';
export type {
  Hold,
  Holds,
  ListState,
  MapState,
  Operator,
  Step,
  OperatorContext,
  Outcome,
  Output,
  OutputOrder,
  OutputTag,
  Place,
  Processor,
  RetryOptions,
  StateDescriptor,
  Timer,
  Timers,
  ValueState,
  Work,
  WorkContext,
  Worker,
} from './core/operator.ts';
export { listState, mapState, outputTag, valueState } from './core/operator.ts';

// ---------- agents
export { agent, Agent, type AgentClass, type AgentOptions, type ChatModelSetup } from './agents/agent.ts';
export { Action, ChatModel, ChatModelConnection, Prompt, Resource, Tool } from './agents/decorators.ts';
export {
  ChatRequestEvent,
  ChatResponseEvent,
  Event,
  EventType,
  InputEvent,
  OutputEvent,
  ToolRequestEvent,
  ToolResponseEvent,
} from './agents/event.ts';
export { AgentPlan } from './agents/plan.ts';
export { resourceToken } from './agents/resources.ts';
export type { MemoryObject, MemoryRef } from './agents/memory.ts';
export type { DurableCallable, RunnerContext } from './agents/runner-context.ts';

// ---------- connectors without a dependency
export { callbackSink } from '../connectors/callback-sink.ts';
export { collection } from '../connectors/collection.ts';
export { defineSink } from '../connectors/define-sink.ts';
export { defineSource } from '../connectors/define-source.ts';
export { jsonLinesSink } from '../connectors/json-lines-sink.ts';
export { jsonLines, malformedLines, type MalformedLine } from '../connectors/json-lines-source.ts';
export { generator } from '../connectors/generator.ts';
export { observableSource } from '../connectors/observable.ts';
export { printSink } from '../connectors/print.ts';
export { paced } from '../connectors/paced.ts';
export type { Sink, SinkContext, SinkWriter, Source, SourceBatch, SourceReader } from './core/connector.ts';
export type { ChatMessage, ChatModelConnection as ChatModelConnectionContract, ChatOptions, ChatRequest, ToolCall } from './core/model.ts';

// ---------- storage and its contracts
export type { ActionStateStore, JournalEntry, WorkId } from './core/journal.ts';
export { callName } from './core/journal.ts';
export { decodeJournalEntry, journaledCalls, type JournalRecord } from './runtime/journal-format.ts';
export { LevelStorage } from './state/level-store.ts';
export { MemoryStorage } from './state/memory-store.ts';
export type { OpenStorage, Storage, Store, StoreBatch } from './state/store.ts';

// ---------- ground
export { systemClock, type Clock } from './core/clock.ts';
export { MAX_TIMESTAMP, MIN_TIMESTAMP, type StreamElement, type Timestamp } from './core/element.ts';
export { CallNotExecuted, errorTable, StreamError, type ErrorCode } from './core/errors.ts';
export type { Key } from './core/key.ts';
export type { Counter, Gauge, Histogram, Meter, MetricGroup } from './core/metric.ts';
export type { Duration } from './core/options.ts';
