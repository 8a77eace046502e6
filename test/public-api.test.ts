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

const values = (names: readonly string[]): readonly string[] => names.filter((name) => !name.startsWith('type ')).toSorted();

// A name that leaves one of these lists breaks somebody's program: that is a new major version.

test('millrace', () => {
  expect(exportsOf('lib/index.ts').join('\n')).toMatchInlineSnapshot(`
    "Action
    Agent
    AgentPlan
    CallNotExecuted
    ChatModel
    ChatModelConnection
    ChatRequestEvent
    ChatResponseEvent
    DataStream
    DataStreamSink
    Event
    EventType
    InputEvent
    Job
    KeyedStream
    LevelStorage
    MAX_TIMESTAMP
    MIN_TIMESTAMP
    MemoryStorage
    OutputEvent
    Prompt
    Resource
    StreamError
    StreamExecutionEnvironment
    Tool
    ToolRequestEvent
    ToolResponseEvent
    TumblingEventTimeWindows
    WatermarkStrategy
    WindowedStream
    agent
    callName
    callbackSink
    collection
    decodeJournalEntry
    defineSink
    defineSource
    errorTable
    exponentialDelay
    failureRate
    fixedDelay
    generator
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
    resourceToken
    systemClock
    type
    type ActionStateStore
    type AgentClass
    type AgentOptions
    type AggregateFunction
    type ApplyAgentOptions
    type AsyncMapOptions
    type ChatMessage
    type ChatModelConnectionContract
    type ChatModelSetup
    type ChatOptions
    type ChatRequest
    type CheckpointOptions
    type CheckpointStats
    type Clock
    type Counter
    type DeadLetter
    type DurableCallable
    type Duration
    type EnvironmentOptions
    type ErrorCode
    type ExponentialDelayOptions
    type Gauge
    type Histogram
    type Hold
    type Holds
    type JobMetrics
    type JobState
    type JobStatus
    type JournalEntry
    type JournalRecord
    type Key
    type KeyedConcatMapOptions
    type ListState
    type MalformedLine
    type MapState
    type MemoryObject
    type MemoryRef
    type Meter
    type MetricGroup
    type OpenStorage
    type Operator
    type OperatorContext
    type Outcome
    type Output
    type OutputOrder
    type OutputTag
    type Place
    type ProcessContext
    type ProcessFunction
    type ProcessObject
    type ProcessWindowFunction
    type ProcessWindowObject
    type Processor
    type ReduceFunction
    type RestartStrategy
    type RetryOptions
    type RunnerContext
    type Sink
    type SinkContext
    type SinkWriter
    type Source
    type SourceBatch
    type SourceReader
    type StateDescriptor
    type Step
    type Storage
    type Store
    type StoreBatch
    type StreamElement
    type TimeWindow
    type Timer
    type Timers
    type Timestamp
    type ToolCall
    type ValueState
    type WindowAssigner
    type WindowContext
    type Work
    type WorkContext
    type WorkId
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
    CrashingStorage
    EOF
    ManualClock
    OperatorHarness
    ProcessClock
    SimulatedClock
    SimulatedProcess
    SimulationFailure
    actionStateStoreSuite
    runVector
    scriptedChatModel
    scriptedSource
    seededRandom
    settled
    simulate
    sinkSuite
    sourceSuite
    stateStoreSuite
    type CallScript
    type CrashPoint
    type CrashingStorageOptions
    type HarnessOutput
    type HarnessSnapshot
    type LifeCounts
    type MakeStorage
    type MemoryCrash
    type MemoryFault
    type MemoryOperation
    type OperatorHarnessOptions
    type ScriptedAnswer
    type ScriptedChatModel
    type ScriptedChatModelOptions
    type ScriptedRequest
    type ScriptedSourceOptions
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
    type VectorStep"
  `);
});
