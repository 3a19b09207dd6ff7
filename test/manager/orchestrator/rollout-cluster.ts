/**
 * One service under all loops with agents under virtual time: images whose name begins with "bad" end soon after they
 * start, "hung" never comes up, "sick" runs and is never ready. What operators ask for goes through the decisions of the
 * API.
 */
import assert from 'node:assert/strict';
import { SeededRandom } from '#common/random.ts';
import { RevisionOutcome, type Service, type Task, TaskState, type UpdateStatus } from '#gen/swarm/v1/objects.ts';
import { FailureAction, ServiceSpec, UpdateConfig, UpdateOrder } from '#gen/swarm/v1/specs.ts';
import type { Decision } from '#manager/control/decision.ts';
import {
  abortRollout,
  pauseRollout,
  promoteRollout,
  type RolloutHelp,
  resumeRollout,
  rollbackService,
} from '#manager/control/rollouts.ts';
import { updateService } from '#manager/control/services.ts';
import type { StoreView } from '#manager/store/index.ts';
import { LoopCluster } from '#test/manager/loops/loop-cluster.ts';
import {
  cluster as clusterObject,
  node,
  revision,
  type SpecOptions,
  service,
  spec,
} from '#test/manager/loops/objects.ts';

export class Rollout {
  readonly cluster: LoopCluster;
  readonly #random = new SeededRandom(7);

  constructor(options: SpecOptions, nodes = 3) {
    this.cluster = new LoopCluster({
      fate: (task) =>
        this.imageOf(task).startsWith('bad') ? { afterMs: 500, state: TaskState.FAILED, exitCode: 7 } : undefined,
      hangsAt: (task) => (this.imageOf(task).startsWith('hung') ? TaskState.PREPARING : undefined),
      isReady: (task) => (this.imageOf(task).startsWith('sick') ? false : undefined),
    });
    this.cluster.create('cluster', { ...clusterObject(), featureLevel: 4 });
    for (let i = 1; i <= nodes; i++) this.cluster.create('node', node(`n${i}`));
    const declared = spec({ image: 'good:1', ...options });
    this.cluster.create('service', service('web', declared));
    this.cluster.create('revision', revision('web', 1, declared));
    this.cluster.run(60_000);
  }

  get service(): Service {
    const found = this.cluster.store.get('service', 'web');
    assert.ok(found);
    return found;
  }

  get status(): UpdateStatus {
    const { updateStatus } = this.service;
    assert.ok(updateStatus);
    return updateStatus;
  }

  imageOf(task: Task): string {
    return this.cluster.store.revision(task.serviceId, task.revision)?.spec?.task?.container?.image ?? '';
  }

  update(change: (before: ServiceSpec) => ServiceSpec): void {
    const { id, version, spec: before } = this.service;
    assert.ok(before);
    this.decide((view) => updateService(view, { id, version, spec: change(before) }, 'me', this.#random));
  }

  /** The image, and with what settings to bring it in. */
  updateTo(image: string, update: Partial<UpdateConfig>, replicas?: number): void {
    this.update((before) => {
      const made = spec({ image, replicas: replicas ?? this.replicas });
      return { ...made, update: UpdateConfig.create(update), rollback: before.rollback };
    });
  }

  get replicas(): number {
    const mode = this.service.spec?.mode;
    return mode?.kind === 'replicated' ? mode.value.replicas : 0;
  }

  scale(replicas: number): void {
    this.update((before) => ({ ...before, mode: { kind: 'replicated', value: { replicas } } }));
  }

  decide<T>(decision: (view: StoreView, help: RolloutHelp) => Decision<T>): T {
    const help = { author: 'me', random: this.#random, nowMs: this.cluster.nowMs };
    const { result, changes } = decision(this.cluster.store, help);
    if (changes.length > 0) this.cluster.commit(...changes);
    return result;
  }

  pause(): void {
    this.decide((view, help) => pauseRollout(view, 'web', help));
  }
  resume(): void {
    this.decide((view, help) => resumeRollout(view, 'web', help));
  }
  abort(): void {
    this.decide((view, help) => abortRollout(view, 'web', help));
  }
  promote(): void {
    this.decide((view) => promoteRollout(view, 'web'));
  }
  rollback(number = 0): void {
    this.decide((view, help) => rollbackService(view, 'web', number, help));
  }

  /** How many tasks of each image run and are ready. */
  images(): Record<string, number> {
    const counts: Record<string, number> = {};
    for (const task of this.cluster.running()) {
      if (task.status?.health?.ready === false) continue;
      counts[this.imageOf(task)] = (counts[this.imageOf(task)] ?? 0) + 1;
    }
    return counts;
  }

  outcome(number: number): RevisionOutcome | undefined {
    return this.cluster.store.revision('web', number)?.outcome;
  }

  /** Runs on, with a look at it after each step. */
  follow(forMs: number, look: () => void): void {
    const untilMs = this.cluster.nowMs + forMs;
    while (this.cluster.nowMs < untilMs) {
      while (this.cluster.settle() + this.cluster.stepAgents() > 0) look();
      this.cluster.nowMs += 500;
    }
  }

  /** Slots with a task that runs and is ready. */
  healthySlots(): number {
    const healthy = this.cluster.running().filter((task) => task.status?.health?.ready !== false);
    return new Set(healthy.map(({ slot }) => slot)).size;
  }
}

export const startFirst: Partial<UpdateConfig> = { order: UpdateOrder.START_FIRST };
export const rollsBack: Partial<UpdateConfig> = { failureAction: FailureAction.ROLLBACK };
