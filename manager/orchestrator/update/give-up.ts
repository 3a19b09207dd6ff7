import { type Change } from '#manager/store/index.ts';
import type { SlotState } from '../service-state.ts';
import { isWanted, updateTask } from '../task-facts.ts';
import { isBroughtBy } from './update-context.ts';

/** Marks what the update has brought to the slot as failed, so that it is waited for no longer; it may still come. */
export function giveUpOn(slot: SlotState): readonly Change[] {
  const { update } = slot.service;
  const brought = slot.tasks.filter((task) => isWanted(task) && isBroughtBy(task.rollout, update));
  return brought.flatMap((task) =>
    task.rollout === undefined
      ? []
      : [updateTask({ ...task, rollout: { ...task.rollout, failedTask: task.id, attempt: update.attempt } })],
  );
}
