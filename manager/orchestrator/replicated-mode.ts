import { isJob } from './jobs/job-settings.ts';
import type { ServiceMode } from './service-mode.ts';
import { replicasOf } from './service-settings.ts';

/** As many tasks as the service says, in slots 1, 2, 3, ... whose numbers are used again. */
export const replicatedMode: ServiceMode = {
  name: 'replicated-orchestrator',
  slotPerNode: false,
  handles: (service) => service.spec?.mode?.kind !== 'global' && !isJob(service.spec),
  keyOf: (task) => task.slot,
  judge: (_slot, judge) => judge.judge(),
  scale(state, desk) {
    const missing = replicasOf(state.service.spec) - state.counts.occupied;
    if (missing > 0) {
      // Tasks that are brought in come behind what the service depends on.
      if (state.service.waitsFor !== '') return;
      for (const number of state.freeNumbers(desk.newTasks(state, missing))) desk.fillSlot(state.slot(number));
    } else if (missing < 0) {
      for (const slot of state.surplus(Math.min(-missing, desk.room))) if (!slot.changing) desk.clearSlot(slot);
    }
  },
};
