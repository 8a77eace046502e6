/** The whole public surface, and the only barrel. */
import './copies.ts';

// ---------- pipelines
export type {
  CheckpointOptions,
  CheckpointTimes,
  EnvironmentBaseOptions,
  EnvironmentOptions,
  StateInDirectory,
  StateInStorage,
} from './environment-options.ts';
export { StreamExecutionEnvironment, type ApplyAgentOptions } from './environment.ts';
export { DataStream } from './streams/data-stream.ts';
export { KeyedStream } from './streams/keyed-stream.ts';
export { BroadcastConnectedStream, BroadcastStream } from './streams/broadcast-streams.ts';
export { ConnectedStreams } from './streams/connected-streams.ts';
export { AsOfJoinedStreams } from './streams/as-of-joined-streams.ts';
export { PatternStream } from './streams/pattern-stream.ts';
export { IntervalJoin, IntervalJoinedStreams } from './streams/interval-joined-streams.ts';
export { JoinedStreams, MeetingStreams, WindowedMeeting } from './streams/joined-streams.ts';
export { PartitionWindowedStream } from './streams/partition-windowed-stream.ts';
export { WindowedStream } from './streams/windowed-stream.ts';
export type { PipeOptions } from './streams/parts.ts';
export { DataStreamSink } from './streams/data-stream-sink.ts';
export type { Quiet } from './runtime/edges/watermark-generator.ts';
export { WatermarkStrategy, type WatermarkGeneratorFunction } from './runtime/edges/watermark-strategy.ts';
export type { RestoreOptions } from './runtime/recovery/savepoint.ts';
export { Job, type JobState, type JobStatus } from './runtime/job/job.ts';
export type { CheckpointStats } from './runtime/checkpoint/coordinator.ts';
export type { LogLevel } from './runtime/job/logging.ts';
export { exponentialDelay, failureRate, fixedDelay, noRestart } from './runtime/job/restart.ts';
export type { ExponentialDelayOptions, Restarts, RestartStrategy } from './runtime/job/restart.ts';
export type { MetricRegistry } from './runtime/job/prometheus.ts';
export type { JobMetrics, MetricSnapshot } from './runtime/job/metrics.ts';
export type { StopOptions } from './runtime/job/stop-options.ts';
export type { WatermarkHolder } from './runtime/domain/watermark-holders.ts';
export type { TimersAtEnd } from './core/timers-at-end.ts';
export type { WatermarkAlignment } from './runtime/edges/watermark-strategy.ts';

// ---------- operators
export { keyedConcatMap, type KeyedConcatMapOptions } from '../operators/keyed-concat-map.ts';
export type { AggregateFunction, ReduceFunction } from './core/aggregate-function.ts';
export type { ByOptions, FieldOf } from '../operators/rolling.ts';
export type { Ordered } from '../operators/ordered.ts';
export type { DistinctOptions } from '../operators/distinct.ts';
export type { SplitSpec, SplitStreams } from './streams/split.ts';
export type { LookupCacheOptions, LookupJoinOptions } from '../operators/lookup-join.ts';
export { type AsyncMapOptions, type Fallback } from '../operators/async-map.ts';
export type { AsOfJoinFunction, AsOfOptions } from '../operators/as-of-join.ts';
export type { Bound, IntervalJoinFunction, IntervalOptions, JoinContext } from '../operators/interval-join.ts';
export type {
  BroadcastProcessFunction,
  BroadcastReadContext,
  BroadcastWriteContext,
} from '../operators/broadcast-process.ts';
export type {
  OperatorStateHandle,
  OperatorStateHandles,
  OperatorStateSpec,
  ReadOnlyStateHandle,
  ReadOnlyStateHandles,
} from './core/operator-state.ts';
export { AfterMatchSkipStrategy, type SkipStrategy } from '../operators/patterns/skip-strategies.ts';
export {
  Pattern,
  type Match,
  type PatternCondition,
  type PatternConditionContext,
  type PatternOptions,
} from '../operators/patterns/pattern.ts';
export type { MatchContext, MatchFunction, MatchOptions } from '../operators/patterns/match-pattern.ts';
export type { CoProcessFunction } from '../operators/co-process.ts';
export { type FlatMapOptions } from '../operators/stateless.ts';
export { type } from '../operators/process.ts';
export type {
  ProcessContext,
  ProcessFunction,
  ProcessObject,
  StateHandles,
  StateSpec,
  TypeOf,
} from '../operators/process.ts';
export type { AgentOperatorOptions } from '../operators/agent-options.ts';
export type { DeadLetter, FitsDeadLetters } from '../operators/dead-letter.ts';
export type { ErrorFacts } from './core/error-facts.ts';
export type { AccessError } from './core/own-failure.ts';
export type {
  ProcessWindowFunction,
  ProcessWindowObject,
  WindowContext,
} from '../operators/windows/window-function.ts';
export type {
  AssignContext,
  Evictor,
  FixedWindows,
  Slices,
  TimestampedValue,
  TimeWindow,
  Trigger,
  TriggerContext,
  TriggerResult,
  WindowAssigner,
  WindowNaming,
} from '../operators/windows/contract.ts';
export {
  CalendarWindows,
  type CalendarUnit,
  type CalendarWindowsOptions,
  type Weekday,
} from '../operators/windows/calendar-windows.ts';
export type { CountWindowOptions } from '../operators/windows/count-windows.ts';
export type { CoGroupFunction, JoinFunction } from '../operators/windows/co-group.ts';
export { CumulativeEventTimeWindows } from '../operators/windows/cumulative-windows.ts';
export { CountEvictor, DeltaEvictor, TimeEvictor, type EvictorOptions } from '../operators/windows/evictors.ts';
export {
  SlidingEventTimeWindows,
  SlidingProcessingTimeWindows,
  TumblingEventTimeWindows,
  TumblingProcessingTimeWindows,
} from '../operators/windows/fixed-windows.ts';
export type {
  MapPartitionFunction,
  MapPartitionOptions,
  PartitionContext,
  SortOrder,
} from '../operators/windows/full-window-partition.ts';
export { GlobalWindows } from '../operators/windows/global-windows.ts';
export { EventTimeSessionWindows, ProcessingTimeSessionWindows } from '../operators/windows/session-windows.ts';
export {
  ContinuousEventTimeTrigger,
  ContinuousProcessingTimeTrigger,
  EndOfStreamTrigger,
  EventTimeTrigger,
  NeverTrigger,
  ProcessingTimeTrigger,
  type EventTimeTriggerOptions,
} from '../operators/windows/time-triggers.ts';
export {
  CountTrigger,
  DeltaTrigger,
  ProcessingTimeoutTrigger,
  PurgingTrigger,
  type CountTriggerOptions,
  type ProcessingTimeoutOptions,
} from '../operators/windows/triggers.ts';
export type { CallContext, CallLimit, CallOptions, ResultTest, RetryOptions } from './core/call.ts';
export type { Hold, HoldOptions, Holds, OutputOrder } from './core/hold.ts';
export type { MultiInputOperator, MultiInputProcessor, Operator, OperatorContext } from './core/operator.ts';
export type { Output, Place, PlaceOptions, Processor, Step } from './core/operator.ts';
export type { OutputTag } from './core/output-tag.ts';
export type {
  AggregatingState,
  ListState,
  MapState,
  MapStateOptions,
  ReducingState,
  StateDescriptor,
  StateKind,
  StateOptions,
  ValueState,
} from './core/state-descriptor.ts';
export type { StateTtl } from './core/state-ttl.ts';
export type {
  DerivedTimer,
  DerivedTimerOptions,
  DerivedTimers,
  TimeDomain,
  Timer,
  TimerOptions,
  Timers,
} from './core/timer.ts';
export type { Outcome, Rejection, Running, Work, WorkContext, Worker, WorkOptions, Durability } from './core/work.ts';
export { outputTag } from './core/output-tag.ts';
export { aggregatingState, listState, mapState, reducingState, valueState } from './core/state-descriptor.ts';

// ---------- agents
export { agent, Agent, AgentBuilder, type AgentClass, type EventOf, type OutputOf } from './agents/definition/agent.ts';
export type {
  ActionDefinition,
  ActionHandler,
  ActionKind,
  ActionOptions,
  AgentDefinition,
  AgentOptions,
  ChatModelSetup,
  Config as PlanConfig,
  DurableCallable,
  DurableFunction,
  DurableOptions,
  ErrorHandling,
  PlannedAction,
  ResourceDefinition,
  ResourceType,
  RetrySettings,
  RunnerContext,
  Sendable,
  Trigger as ActionTrigger,
  UnfitAnswer,
} from './agents/contract.ts';
export { Action, ChatModel, ChatModelConnection, Prompt, Resource, Tool } from './agents/definition/decorators.ts';
export { Event, EventType, InputEvent, OutputEvent } from './agents/events/event.ts';
export type { Attributes as EventAttributes, EventClass, EventJson, EventStamp } from './agents/events/event.ts';
export { ChatErrorEvent, ChatRequestEvent, ChatResponseEvent } from './agents/events/chat-events.ts';
export type {
  ChatErrorOptions,
  ChatRequestOptions,
  ChatResponseOptions,
  ProblemCategory,
} from './agents/events/chat-events.ts';
export { ToolRequestEvent, ToolResponseEvent } from './agents/events/tool-events.ts';
export type { RequestedToolCall, ToolResponseOptions } from './agents/events/tool-events.ts';
export type { JsonSchema } from './agents/schemas/json-schema.ts';
export { AgentPlan } from './agents/plan/plan.ts';
export type { CompiledAgent } from './agents/plan/plan.ts';
export type { PlanJson, PlannedActionJson } from './agents/plan/plan-json.ts';
export { resourceToken } from './agents/plan/resources.ts';
export type { ConfigureServices, ServiceBinding, ServiceContainer } from './agents/plan/service-container.ts';
export type { ServiceContext, ServiceHooks, ServiceIdentifier, ServiceScope } from './agents/plan/service-container.ts';
export type { ResourceFactory } from './agents/plan/resource-factory.ts';
export type { Prompt as PromptResource, PromptArgs, PromptJson, PromptLike } from './agents/prompt.ts';
export type { ToolArguments, ToolDefinition, ToolOptions } from './agents/definition/tool.ts';
export type { MemoryObject, MemoryRef, MemoryType } from './agents/memory/memory.ts';
export type { MemoryPath } from './agents/memory/memory-path.ts';

// ---------- connectors without a dependency
export { callbackSink, type CallbackContext } from '../connectors/callback-sink.ts';
export { collection, type CollectionOptions } from '../connectors/collection.ts';
export { defineSink, type SinkCall, type SinkDefinition, type ValuesCommittable } from '../connectors/define-sink.ts';
export { defineSource, type SourceDefinition, type SourcePage } from '../connectors/define-source.ts';
export { jsonLinesSink } from '../connectors/json-lines/json-lines-sink.ts';
export {
  asyncSink,
  type AsyncSinkCall,
  type AsyncSinkDefinition,
  type AsyncSinkOptions,
  type SinkEntry,
} from '../connectors/async-sink.ts';
export type { HttpOptions } from '../connectors/http/door.ts';
export {
  httpPollSource,
  type HttpPage,
  type HttpPollOptions,
  type HttpPollPosition,
} from '../connectors/http/http-poll.ts';
export { httpSink, type HttpSinkOptions, type HttpSinkRequest } from '../connectors/http/http-sink.ts';
export { hmacSignature, type HmacOptions, type SignedRequest } from '../connectors/http/signature.ts';
export { sqliteSink, type SqliteRow, type SqliteSinkOptions } from '../connectors/sqlite/sqlite-sink.ts';
export type { SqliteDatabase, SqliteStatement, SqliteValue } from '../connectors/sqlite/database.ts';
export { csvSink, type CsvSinkOptions } from '../connectors/files/csv-sink.ts';
export { fileFormat, type CsvFormatOptions, type FileFormat } from '../connectors/files/file-format.ts';
export { fileSink, type FileSinkOptions } from '../connectors/files/file-sink.ts';
export type { PartsCommittable } from '../connectors/files/part-directory.ts';
export type { SealedPart } from '../connectors/files/part-file.ts';
export type { LineSinkOptions } from '../connectors/files/line-sink.ts';
export type { FileCommittable } from '../connectors/files/line-output.ts';
export { jsonLines, type JsonLinesOptions } from '../connectors/json-lines/json-lines-source.ts';
export type { Compression } from '../connectors/files/compression.ts';
export { directory, type DirectoryOptions, type DirectoryPosition } from '../connectors/files/directory.ts';
export type { OnChanged } from '../connectors/files/finished-files.ts';
export type { FilePosition } from '../connectors/files/file-position.ts';
export type { FileSource, FileSourceOptions, SchemaOptions } from '../connectors/files/file-source.ts';
export type { LineMark } from '../connectors/files/line-mark.ts';
export { malformedLines, type MalformedLine, type RecordSchema } from '../connectors/files/malformed.ts';
export { tail, type TailOptions, type TailPosition } from '../connectors/files/tail.ts';
export { textLines } from '../connectors/files/text-lines.ts';
export type { FileRange } from '../connectors/files/pending-file.ts';
export { generator, type GeneratorOptions } from '../connectors/generator.ts';
export { hybridSource, type HybridPart, type HybridPosition, type SplitEnds } from '../connectors/hybrid.ts';
export { observableSource, type ObservableSource, type ObservableSourceOptions } from '../connectors/observable.ts';
export { printSink, type PrintOptions } from '../connectors/print.ts';
export { paced } from '../connectors/paced.ts';
export type { Sink, SinkContext, SinkWriter, Source, SourceBatch, SourceReader } from './core/connector.ts';
export type {
  ChatMessage,
  ChatModelConnection as ChatModelConnectionContract,
  ChatOptions,
  ChatRequest,
} from './core/model.ts';
export type { MessageRole, ToolCall, ToolMetadata } from './core/model.ts';

// ---------- storage and its contracts
export type { ActionStateStore, JournalEntry, JournalPosition } from './core/journal.ts';
export { LevelStorage, type LevelStorageOptions } from './state/level-storage.ts';
export { MemoryStorage } from './state/memory-storage.ts';
export type { KeyRange, OpenStorage, Storage, Store, StoreBatch } from './state/store.ts';

// ---------- the journal as data, for tools that look at it (a storage needs none of this: its entries are bytes)
export { callName, type WorkId } from './core/journal.ts';
export {
  decodeJournalEntry,
  journaledCalls,
  type JournalRecord,
  type TurnsRecord,
} from './runtime/journal/journal-format.ts';
export type {
  CalledRecord,
  ClaimedRecord,
  DoneRecord,
  ItemFacts,
  Lsn,
  PendingRecord,
  VoidedRecord,
  WorkRecord,
} from './runtime/journal/work-record.ts';
export type { PackedTurn, RecordedInput, TickedSplit, TickTurn, Turn } from './runtime/journal/turn.ts';

// ---------- ground
export { systemClock, type Cancel, type Clock } from './core/clock.ts';
export { MAX_TIMESTAMP, MIN_TIMESTAMP } from './core/element.ts';
export type { StreamElement, StreamRecord, StreamStatus, Timestamp, Watermark } from './core/element.ts';
export {
  CallNotExecuted,
  errorTable,
  InvariantError,
  StreamError,
  type ErrorCode,
  type StreamErrorOptions,
} from './core/errors.ts';
export type { Key } from './core/key.ts';
export type { LogFunction, Logger } from './core/logger.ts';
export type { Counter, Gauge, Histogram, Meter, MetricGroup } from './core/metric.ts';
export type { Duration } from './core/options.ts';
export { registerErrorType, type ErrorType } from './core/error-types.ts';
