import { expect, test } from 'vitest';
import { exportsOf } from './exports.ts';

const values = (names: readonly string[]): readonly string[] =>
  names.filter((name) => !name.startsWith('type ')).toSorted();

// A name that leaves one of these lists breaks somebody's program: that is a new major version.

test('millrace', () => {
  expect(exportsOf('lib/index.ts').join('\n')).toMatchInlineSnapshot(`
    "Action
    AfterMatchSkipStrategy
    Agent
    AgentBuilder
    AgentPlan
    AsOfJoinedStreams
    BroadcastConnectedStream
    BroadcastStream
    CalendarWindows
    CallNotExecuted
    ChatErrorEvent
    ChatModel
    ChatModelConnection
    ChatRequestEvent
    ChatResponseEvent
    ConnectedStreams
    ContinuousEventTimeTrigger
    ContinuousProcessingTimeTrigger
    CountEvictor
    CountTrigger
    CumulativeEventTimeWindows
    DataStream
    DataStreamSink
    DeltaEvictor
    DeltaTrigger
    EndOfStreamTrigger
    Event
    EventTimeSessionWindows
    EventTimeTrigger
    EventType
    GlobalWindows
    InputEvent
    IntervalJoin
    IntervalJoinedStreams
    InvariantError
    Job
    JoinedStreams
    KeyedStream
    LevelStorage
    MAX_TIMESTAMP
    MIN_TIMESTAMP
    MeetingStreams
    MemoryStorage
    NeverTrigger
    OutputEvent
    PartitionWindowedStream
    Pattern
    PatternStream
    ProcessingTimeSessionWindows
    ProcessingTimeTrigger
    ProcessingTimeoutTrigger
    Prompt
    PurgingTrigger
    Resource
    SlidingEventTimeWindows
    SlidingProcessingTimeWindows
    StreamError
    StreamExecutionEnvironment
    TimeEvictor
    Tool
    ToolRequestEvent
    ToolResponseEvent
    TumblingEventTimeWindows
    TumblingProcessingTimeWindows
    WatermarkStrategy
    WindowedMeeting
    WindowedStream
    agent
    aggregatingState
    asyncSink
    callName
    callbackSink
    collection
    csvSink
    decodeJournalEntry
    defineSink
    defineSource
    directory
    errorTable
    exponentialDelay
    failureRate
    fileFormat
    fileSink
    fixedDelay
    generator
    hmacSignature
    httpPollSource
    httpSink
    hybridSource
    journaledCalls
    jsonLines
    jsonLinesSink
    keyedConcatMap
    listState
    malformedLines
    mapState
    noRestart
    observableSource
    outputTag
    paced
    printSink
    reducingState
    registerErrorType
    resourceToken
    sqliteSink
    systemClock
    tail
    textLines
    type
    type AccessError
    type ActionDefinition
    type ActionHandler
    type ActionKind
    type ActionOptions
    type ActionStateStore
    type ActionTrigger
    type AgentClass
    type AgentDefinition
    type AgentOperatorOptions
    type AgentOptions
    type AggregateFunction
    type AggregatingState
    type ApplyAgentOptions
    type AsOfJoinFunction
    type AsOfOptions
    type AssignContext
    type AsyncMapOptions
    type AsyncSinkCall
    type AsyncSinkDefinition
    type AsyncSinkOptions
    type Bound
    type BroadcastProcessFunction
    type BroadcastReadContext
    type BroadcastWriteContext
    type ByOptions
    type CalendarUnit
    type CalendarWindowsOptions
    type CallContext
    type CallLimit
    type CallOptions
    type CallbackContext
    type CalledRecord
    type Cancel
    type ChatErrorOptions
    type ChatMessage
    type ChatModelConnectionContract
    type ChatModelSetup
    type ChatOptions
    type ChatRequest
    type ChatRequestOptions
    type ChatResponseOptions
    type CheckpointOptions
    type CheckpointStats
    type CheckpointTimes
    type ClaimedRecord
    type Clock
    type CoGroupFunction
    type CoProcessFunction
    type CollectionOptions
    type CompiledAgent
    type Compression
    type ConfigureServices
    type CountTriggerOptions
    type CountWindowOptions
    type Counter
    type CsvFormatOptions
    type CsvSinkOptions
    type DeadLetter
    type DerivedTimer
    type DerivedTimerOptions
    type DerivedTimers
    type DirectoryOptions
    type DirectoryPosition
    type DistinctOptions
    type DoneRecord
    type Durability
    type DurableCallable
    type DurableFunction
    type DurableOptions
    type Duration
    type EnvironmentBaseOptions
    type EnvironmentOptions
    type ErrorCode
    type ErrorFacts
    type ErrorHandling
    type ErrorType
    type EventAttributes
    type EventClass
    type EventJson
    type EventOf
    type EventStamp
    type EventTimeTriggerOptions
    type Evictor
    type EvictorOptions
    type ExponentialDelayOptions
    type Fallback
    type FieldOf
    type FileCommittable
    type FileFormat
    type FilePosition
    type FileRange
    type FileSinkOptions
    type FileSource
    type FileSourceOptions
    type FitsDeadLetters
    type FixedWindows
    type FlatMapOptions
    type Gauge
    type GeneratorOptions
    type Histogram
    type HmacOptions
    type Hold
    type HoldOptions
    type Holds
    type HttpOptions
    type HttpPage
    type HttpPollOptions
    type HttpPollPosition
    type HttpSinkOptions
    type HttpSinkRequest
    type HybridPart
    type HybridPosition
    type IntervalJoinFunction
    type IntervalOptions
    type ItemFacts
    type JobMetrics
    type JobState
    type JobStatus
    type JoinContext
    type JoinFunction
    type JournalEntry
    type JournalPosition
    type JournalRecord
    type JsonLinesOptions
    type JsonSchema
    type Key
    type KeyRange
    type KeyedConcatMapOptions
    type LevelStorageOptions
    type LineMark
    type LineSinkOptions
    type ListState
    type LogFunction
    type LogLevel
    type Logger
    type LookupCacheOptions
    type LookupJoinOptions
    type Lsn
    type MalformedLine
    type MapPartitionFunction
    type MapPartitionOptions
    type MapState
    type MapStateOptions
    type Match
    type MatchContext
    type MatchFunction
    type MatchOptions
    type MemoryObject
    type MemoryPath
    type MemoryRef
    type MemoryType
    type MessageRole
    type Meter
    type MetricGroup
    type MetricRegistry
    type MetricSnapshot
    type MultiInputOperator
    type MultiInputProcessor
    type ObservableSource
    type ObservableSourceOptions
    type OnChanged
    type OpenStorage
    type Operator
    type OperatorContext
    type OperatorStateHandle
    type OperatorStateHandles
    type OperatorStateSpec
    type Ordered
    type Outcome
    type Output
    type OutputOf
    type OutputOrder
    type OutputTag
    type PackedTurn
    type PartitionContext
    type PartsCommittable
    type PatternCondition
    type PatternConditionContext
    type PatternOptions
    type PendingRecord
    type PipeOptions
    type Place
    type PlaceOptions
    type PlanConfig
    type PlanJson
    type PlannedAction
    type PlannedActionJson
    type PrintOptions
    type ProblemCategory
    type ProcessContext
    type ProcessFunction
    type ProcessObject
    type ProcessWindowFunction
    type ProcessWindowObject
    type ProcessingTimeoutOptions
    type Processor
    type PromptArgs
    type PromptJson
    type PromptLike
    type PromptResource
    type Quiet
    type ReadOnlyStateHandle
    type ReadOnlyStateHandles
    type RecordSchema
    type RecordedInput
    type ReduceFunction
    type ReducingState
    type Rejection
    type RequestedToolCall
    type ResourceDefinition
    type ResourceFactory
    type ResourceType
    type RestartStrategy
    type Restarts
    type RestoreOptions
    type ResultTest
    type RetryOptions
    type RetrySettings
    type RunnerContext
    type Running
    type SchemaOptions
    type SealedPart
    type Sendable
    type ServiceBinding
    type ServiceContainer
    type ServiceContext
    type ServiceHooks
    type ServiceIdentifier
    type ServiceScope
    type SignedRequest
    type Sink
    type SinkCall
    type SinkContext
    type SinkDefinition
    type SinkEntry
    type SinkWriter
    type SkipStrategy
    type Slices
    type SortOrder
    type Source
    type SourceBatch
    type SourceDefinition
    type SourcePage
    type SourceReader
    type SplitEnds
    type SplitSpec
    type SplitStreams
    type SqliteDatabase
    type SqliteRow
    type SqliteSinkOptions
    type SqliteStatement
    type SqliteValue
    type StateDescriptor
    type StateHandles
    type StateInDirectory
    type StateInStorage
    type StateKind
    type StateOptions
    type StateSpec
    type StateTtl
    type Step
    type StopOptions
    type Storage
    type Store
    type StoreBatch
    type StreamElement
    type StreamErrorOptions
    type StreamRecord
    type StreamStatus
    type TailOptions
    type TailPosition
    type TickTurn
    type TickedSplit
    type TimeDomain
    type TimeWindow
    type Timer
    type TimerOptions
    type Timers
    type TimersAtEnd
    type Timestamp
    type TimestampedValue
    type ToolArguments
    type ToolCall
    type ToolDefinition
    type ToolMetadata
    type ToolOptions
    type ToolResponseOptions
    type Trigger
    type TriggerContext
    type TriggerResult
    type Turn
    type TurnsRecord
    type TypeOf
    type UnfitAnswer
    type ValueState
    type ValuesCommittable
    type VoidedRecord
    type Watermark
    type WatermarkAlignment
    type WatermarkGeneratorFunction
    type WatermarkHolder
    type Weekday
    type WindowAssigner
    type WindowContext
    type WindowNaming
    type Work
    type WorkContext
    type WorkId
    type WorkOptions
    type WorkRecord
    type Worker
    valueState"
  `);
});

test('what is exported is there', async () => {
  expect(Object.keys(await import('millrace')).toSorted()).toEqual(values(exportsOf('lib/index.ts')));
});
