/** What a conformance suite consists of: cases for any test runner. */

/** One rule that a connector or a store must keep. */
export interface SuiteCase {
  readonly name: string;
  /** Rejects with an `AssertionError` when what is tested breaks the rule. */
  run(): Promise<void>;
}
