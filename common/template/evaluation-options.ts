/** How strictly a template is run, and how far it may go. */
export interface EvaluationOptions {
  /** A key that a map has not is an error (Go's `missingkey=error`), rather than no value. */
  readonly failsOnMissingKey?: boolean;
  /** Statements that are run, rounds of loops among them; unbounded when absent. For templates of strangers. */
  readonly stepsMax?: number;
  /** Characters of the text, and of any text on the way to it; unbounded when absent. */
  readonly textMax?: number;
}
