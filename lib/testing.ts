/**
 * The test kit, exported as `millrace/testing`: clocks, scripted outsides, conformance suites, the operator harness and
 * the simulation.
 */

// ---------- time
export {
  ManualClock,
  ProcessClock,
  seededRandom,
  settled,
  SimulatedClock,
  type SimulatedClockOptions,
} from './testing/clock.ts';

// ---------- one operator, one agent
export { OperatorHarness, type HarnessSnapshot, type OperatorHarnessOptions } from './testing/harness.ts';
export type { HarnessInput } from './testing/harness.ts';
export type { HarnessInputOptions } from './testing/harness-inputs.ts';
export type { HarnessOutput } from './testing/harness-outputs.ts';
export { AgentHarness, type AgentHarnessOptions, type AgentRun } from './testing/agent.ts';
export type { VectorCase, VectorConfig, VectorOutput, VectorStep, VectorTime } from './testing/vector-form.ts';
export { runVector } from './testing/vectors.ts';

// ---------- what the methods of a stream make, for the operator harness
export { aggregate, reduce } from '../operators/aggregate.ts';
export { distinct } from '../operators/distinct.ts';
export { asyncMap } from '../operators/async-map.ts';
export { process as processOperator } from '../operators/process.ts';
export { filter, flatMap, map } from '../operators/stateless.ts';
export { broadcastProcess } from '../operators/broadcast-process.ts';
export { coProcess } from '../operators/co-process.ts';
export { coSteps } from '../operators/co-steps.ts';
export { lookupJoin } from '../operators/lookup-join.ts';
export { matchPattern, type MatchPatternOptions } from '../operators/patterns/match-pattern.ts';
export { asOfJoin, type AsOfJoinOptions } from '../operators/as-of-join.ts';
export { intervalJoin, intervalOf, type Interval, type IntervalJoinOptions } from '../operators/interval-join.ts';
export { coGroupWindow, joinWindow } from '../operators/windows/co-group.ts';
export type { CoGroupFunction, CoGroupOptions, JoinFunction, Sided } from '../operators/windows/co-group.ts';
export { aggregateWindow, processWindow, reduceWindow, type WindowOptions } from '../operators/windows/window.ts';

// ---------- conformance of one's own store, source and sink
export { actionStateStoreSuite } from './state/action-state-store-suite.ts';
export { stateStoreSuite } from './state/state-store-suite.ts';
export type { MakeStorage, StorageFixture } from './state/storage-fixture.ts';
export { sinkSuite, type SinkUnderTest } from './core/sink-suite.ts';
export { sourceSuite, type SourceUnderTest } from './core/source-suite.ts';
export type { SuiteCase } from './core/suite-case.ts';

// ---------- a whole job
export { simulate, type LifeCounts, type SimulationResult } from './testing/simulation.ts';
export type { CrashPoint, SimulationOptions } from './testing/simulation-options.ts';
export {
  SimulatedProcess,
  SimulationFailure,
  type CallScript,
  type SimulatedSinkOptions,
  type SimulatedSplits,
} from './testing/world.ts';

// ---------- scripted outsides
export { ABORT, EOF, scriptedSource, type ScriptedSourceOptions } from './testing/scripted.ts';
export {
  scriptedChatModel,
  type ScriptedAnswer,
  type ScriptedChatModel,
  type ScriptedChatModelOptions,
  type ScriptedRequest,
} from './testing/scripted.ts';
export type { MemoryDatabaseName, MemoryFault, MemoryOperation } from './state/memory-disk.ts';
export {
  MemoryStorage as CrashingStorage,
  type MemoryCrash,
  type MemoryStorageOptions as CrashingStorageOptions,
} from './state/memory-storage.ts';
