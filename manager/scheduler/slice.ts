import type { ChangeGroup, StoreView } from '#manager/store/index.ts';
import type { Budget } from './candidates.ts';

/** One plan: what is left of it, what it is made on, and what it gives. */
export interface Slice extends Budget {
  placements: number;
  readonly nowMs: number;
  readonly changes: ChangeGroup[];
  readonly view: StoreView;
}

/** For messages: people know services by their names. */
export function nameIn(view: StoreView): (serviceId: string) => string {
  return (serviceId) => view.get('service', serviceId)?.spec?.name ?? serviceId;
}
