import { existsSync } from 'node:fs';
import { expect, test } from 'vitest';
import { exportsOf } from './exports.ts';
import { root } from './house.ts';

// As in `public-api.test.ts`: a name that leaves the list breaks somebody's tests.
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
    asOfJoin
    asyncMap
    broadcastProcess
    coGroupWindow
    coProcess
    coSteps
    distinct
    filter
    flatMap
    intervalJoin
    intervalOf
    joinWindow
    lookupJoin
    map
    matchPattern
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
    type AsOfJoinOptions
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
    type MatchPatternOptions
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
