import { existsSync } from 'node:fs';
import { expect, test } from 'vitest';
import { readSource, root, type SyntaxNode } from './house.ts';

/** What a module exports, in order; types carry the word before their name. */
const exportsOf = (path: string): readonly string[] =>
  readSource(path)
    .nodes.filter(({ type }) => type.startsWith('Export'))
    .flatMap((node) => {
      if (node.type === 'ExportAllDeclaration') return ['* from elsewhere: name what is public'];
      if (node.type === 'ExportSpecifier') return [];
      const declared = node['declaration'] as SyntaxNode | null;
      if (declared !== null && declared !== undefined) return declarationNames(declared);
      return (node['specifiers'] as readonly SyntaxNode[]).map((specifier) => {
        const { name } = specifier['exported'] as { readonly name: string } & SyntaxNode;
        return node['exportKind'] === 'type' || specifier['exportKind'] === 'type' ? `type ${name}` : name;
      });
    })
    .toSorted();

const declarationNames = (node: SyntaxNode): readonly string[] => {
  const nameOf = (each: SyntaxNode): string => (each['id'] as { readonly name: string } & SyntaxNode).name;
  if (node.type === 'VariableDeclaration') return (node['declarations'] as readonly SyntaxNode[]).map(nameOf);
  return [node.type.startsWith('TS') ? `type ${nameOf(node)}` : nameOf(node)];
};

const values = (names: readonly string[]): readonly string[] =>
  names.filter((name) => !name.startsWith('type ')).toSorted();

// A name that leaves one of these lists breaks somebody's program: that is a new major version.

test('millrace', () => {
  expect(exportsOf('lib/index.ts').join('\n')).toMatchInlineSnapshot(`
    "Action
    Agent
    AgentBuilder
    AgentPlan
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
    type AssignContext
    type AsyncMapOptions
    type AsyncSinkCall
    type AsyncSinkDefinition
    type AsyncSinkOptions
    type Bound
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
    type Lsn
    type MalformedLine
    type MapState
    type MapStateOptions
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
    type Ordered
    type Outcome
    type Output
    type OutputOf
    type OutputOrder
    type OutputTag
    type PackedTurn
    type PartsCommittable
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
    type Slices
    type Source
    type SourceBatch
    type SourceDefinition
    type SourcePage
    type SourceReader
    type SplitEnds
    type SplitSpec
    type SplitStreams
    type StateDescriptor
    type StateHandles
    type StateInDirectory
    type StateInStorage
    type StateKind
    type StateOptions
    type StateSpec
    type StateTtl
    type Step
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

test.runIf(existsSync(`${root}lib/testing.ts`))('millrace/testing', () => {
  expect(exportsOf('lib/testing.ts').join('\n')).toMatchInlineSnapshot(`
    "ABORT
    AgentHarness
    CrashingStorage
    EOF
    ManualClock
    OperatorHarness
    ProcessClock
    SimulatedClock
    SimulatedProcess
    SimulationFailure
    actionStateStoreSuite
    aggregate
    aggregateWindow
    asyncMap
    coGroupWindow
    coProcess
    coSteps
    distinct
    filter
    flatMap
    intervalJoin
    intervalOf
    joinWindow
    map
    processOperator
    processWindow
    reduce
    reduceWindow
    runVector
    scriptedChatModel
    scriptedSource
    seededRandom
    settled
    simulate
    sinkSuite
    sourceSuite
    stateStoreSuite
    type AgentHarnessOptions
    type AgentRun
    type CallScript
    type CoGroupFunction
    type CoGroupOptions
    type CrashPoint
    type CrashingStorageOptions
    type HarnessInput
    type HarnessInputOptions
    type HarnessOutput
    type HarnessSnapshot
    type Interval
    type IntervalJoinOptions
    type JoinFunction
    type LifeCounts
    type MakeStorage
    type MemoryCrash
    type MemoryDatabaseName
    type MemoryFault
    type MemoryOperation
    type OperatorHarnessOptions
    type ScriptedAnswer
    type ScriptedChatModel
    type ScriptedChatModelOptions
    type ScriptedRequest
    type ScriptedSourceOptions
    type Sided
    type SimulatedClockOptions
    type SimulatedSinkOptions
    type SimulatedSplits
    type SimulationOptions
    type SimulationResult
    type SinkUnderTest
    type SourceUnderTest
    type StorageFixture
    type SuiteCase
    type VectorCase
    type VectorConfig
    type VectorOutput
    type VectorStep
    type VectorTime
    type WindowOptions"
  `);
});
