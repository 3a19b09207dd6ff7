import type { Node, Service, Task } from '#gen/swarm/v1/objects.ts';
import type { RevisionBook } from './revision-book.ts';
import type { ServiceState, SlotKey, SlotState } from './service-state.ts';
import type { SlotJudge, SlotJudgement } from './slot-judge.ts';
import type { UpdateDesk } from './update/update-planner.ts';

/** What the loop offers to a mode when a service as a whole is looked at. */
export interface ServiceDesk extends UpdateDesk {
  /** How many of the tasks that are missing are made now; the service is looked at again for the rest. */
  newTasks(state: ServiceState, missing: number): number;
  fillSlot(slot: SlotState): void;
  clearSlot(slot: SlotState): void;
}

/** What tells replicated services from global ones; everything else is the ServiceLoop's. */
export interface ServiceMode {
  readonly name: string;
  handles(service: Service): boolean;
  keyOf(task: Task): SlotKey;
  /** Every node is a slot. */
  readonly slotPerNode: boolean;
  /** The next step of one slot. `node` is that of a slot that is a node. */
  judge(slot: SlotState, judge: SlotJudge, node: Node | undefined, book: RevisionBook): SlotJudgement;
  /** Sees to the number of slots. The counts are up to date. */
  scale(state: ServiceState, desk: ServiceDesk): void;
}
