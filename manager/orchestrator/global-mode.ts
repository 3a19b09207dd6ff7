import { NodeAvailability } from '#gen/swarm/v1/specs.ts';
import type { ServiceMode } from './service-mode.ts';
import { isDrained, isLost } from './task-facts.ts';

/**
 * One task on every node that is fit for it. A node that is silent keeps its task: it may well be running, and there is
 * nowhere else to put it; when the node comes back it is looked at again.
 */
export const globalMode: ServiceMode = {
  name: 'global-orchestrator',
  slotPerNode: true,
  handles: (service) => service.spec?.mode?.kind === 'global',
  keyOf: (task) => task.nodeId,
  judge(slot, judge, node, book) {
    if (node === undefined) return judge.clear();
    const { service } = slot.service;
    if (!book.fits(service.id, service.revision, node)) return judge.empty();
    // On a drained node nothing new begins; what does its work there goes last, when it is told to.
    if (isDrained(node)) return judge.leavesAtOnce(node) ? judge.empty() : judge.outlive();
    const judgement = judge.judge();
    const takesTasks = !isLost(node) && node.spec?.availability !== NodeAvailability.PAUSE;
    const isHeldBack = slot.service.service.waitsFor !== '';
    if (judgement.summary.occupied || judgement.changes.length > 0 || !takesTasks || isHeldBack) return judgement;
    return { ...judgement, changes: judge.fill() };
  },
  scale() {},
};
