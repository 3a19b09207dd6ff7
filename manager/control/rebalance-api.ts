/** `service rebalance`: plans on what is stored, and marks the tasks that are to move. The leader moves them in pace. */
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { Service } from '#gen/swarm/v1/objects.ts';
import { type RebalanceRequest, type RebalanceResponse, TaskMove } from '#gen/swarm/v1/rebalance.ts';
import { DEFAULT_SCHEDULER_CONFIG, type PlannedMove, RebalancePlan } from '#manager/scheduler/index.ts';
import type { Change, StoreView } from '#manager/store/index.ts';
import { requireServices } from './feature-gates.ts';
import { findService } from './references.ts';
import type { ControlCaller, WriteQueue } from './write-queue.ts';

/** Steps of the plan in one turn of the event loop: a step weighs the nodes for one task. */
const STEPS_PER_TURN = 20;
/** In one transaction. */
const MOVES_MAX = 1000;

export interface RebalanceApiOptions {
  readonly writes: WriteQueue;
  readonly view: () => StoreView;
  readonly now: () => number;
}

export class RebalanceApi {
  readonly #options: RebalanceApiOptions;

  constructor(options: RebalanceApiOptions) {
    this.#options = options;
  }

  async rebalance(caller: ControlCaller, request: RebalanceRequest): Promise<RebalanceResponse> {
    const { writes, view: viewOf, now } = this.#options;
    const view = viewOf();
    requireServices(view, 'rebalance');
    const movesMax = request.maxMoves === 0 ? MOVES_MAX : Math.min(request.maxMoves, MOVES_MAX);
    const services = servicesOf(view, request.services);
    const plan = new RebalancePlan(view, services, { movesMax, nowMs: now(), config: DEFAULT_SCHEDULER_CONFIG });
    let count = 0;
    for (const _step of plan.steps()) if (++count % STEPS_PER_TURN === 0) await nextTurn();
    const moves = request.dryRun
      ? plan.moves
      : (
          await writes.write(caller, (current) => {
            const left = plan.moves.filter((move) => isAsPlanned(current, move));
            return { result: left, changes: left.map((move) => marked(current, move)) };
          })
        ).result;
    const lost = plan.moves.length - moves.length;
    const notes = lost === 0 ? plan.notes : [...plan.notes, `${lost} tasks have changed meanwhile and were left alone`];
    return { moves: moves.map(moveOf), notes };
  }
}

/** Those that are named; without names those that can be moved, about which there is nothing to say otherwise. */
function servicesOf(view: StoreView, references: readonly string[]): readonly Service[] {
  if (references.length > 0) return [...new Set(references.map((reference) => findService(view, reference)))];
  return [...view.all('service')].filter(
    ({ spec, pendingDelete }) => spec?.mode?.kind === 'replicated' && !pendingDelete,
  );
}

function isAsPlanned(view: StoreView, { task }: PlannedMove): boolean {
  return view.get('task', task.id)?.version === task.version;
}

function marked(view: StoreView, { task, reason }: PlannedMove): Change {
  const current = view.get('task', task.id) ?? task;
  return { kind: 'update', table: 'task', object: { ...current, moveReason: reason } };
}

function moveOf({ task, serviceName, toNodeId, reason }: PlannedMove): TaskMove {
  const { id: taskId, serviceId, slot, nodeId: fromNodeId } = task;
  return TaskMove.create({ taskId, serviceId, serviceName, slot, fromNodeId, toNodeId, reason });
}
