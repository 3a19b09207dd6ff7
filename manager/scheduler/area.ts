import type { Tally } from './tally.ts';

/** What is on a node, or on all nodes with one value of a label. */
export interface Area {
  /** Tasks that are wanted and have not ended, by service. */
  readonly active: Tally;
  /** Tasks that are to stop and have not ended. */
  readonly stopping: Tally;
  /** Tasks that have not ended whose rules keep a service away from the area, by that service. */
  readonly repelled: Tally;
}
