import type { Operation } from './history.ts';
import { narrow } from './narrow.ts';
import { Search, type SearchLimit, type Verdict } from './search.ts';
import { settleUnknown } from './settle-unknown.ts';

/** Whether the operations of one key can be put into an order. First what can be reasoned out, then by trying. */
export function orderExists(operations: readonly Operation[], limit: SearchLimit): Verdict {
  const narrowed = narrow(settleUnknown(operations));
  return narrowed === undefined ? 'illegal' : new Search(narrowed, limit).run();
}
