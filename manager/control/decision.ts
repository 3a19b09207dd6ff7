/** What an operation of the API comes to: its answer, and the changes of one transaction. */
import type { Change } from '#manager/store/index.ts';

export interface Decision<T> {
  readonly result: T;
  readonly changes: readonly Change[];
}
