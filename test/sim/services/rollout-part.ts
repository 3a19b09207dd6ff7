/** Updates in the simulation: operators declare, steer and change their minds; promises are looked at with every step. */
import assert from 'node:assert/strict';
import { SwarmError } from '#common/errors.ts';
import { randomInt } from '#common/random.ts';
import {
  NodeState,
  type Service,
  type Task,
  TaskState,
  UpdatePauseReason,
  UpdateState,
} from '#gen/swarm/v1/objects.ts';
import { FailureAction, type ServiceSpec, UpdateConfig, UpdateOrder } from '#gen/swarm/v1/specs.ts';
import type { Decision } from '#manager/control/decision.ts';
import {
  abortRollout,
  pauseRollout,
  promoteRollout,
  type RolloutHelp,
  resumeRollout,
  rollbackService,
} from '#manager/control/rollouts.ts';
import { sameRevision, updateService } from '#manager/control/services.ts';
import { updateRules } from '#manager/orchestrator/service-settings.ts';
import type { StoreView } from '#manager/store/index.ts';
import { revision, service, spec } from '#test/manager/loops/objects.ts';
import type { ServiceWorld, SimPart } from './service-world.ts';

const MONITOR_MS = 2000;
const DEADLINE_MS = 30_000;
/** An operator does not change a service twice within this: what has just started would not be known to be bad. */
const PATIENCE_MS = 1500;

const CONFIGS: readonly Partial<UpdateConfig>[] = [
  { parallelism: 1 },
  { parallelism: 2, order: UpdateOrder.START_FIRST, failureAction: FailureAction.ROLLBACK },
  { parallelism: 2, order: UpdateOrder.AUTO, failureAction: FailureAction.ROLLBACK, canaries: 2 },
  { parallelism: 3, failureAction: FailureAction.ROLLBACK, maxFailureRatio: 0.25, delayMs: 1000 },
  { parallelism: 1, canaries: 1, autoPromote: true },
  { parallelism: 1, failureAction: FailureAction.CONTINUE },
];

const IMAGES = ['good', 'good', 'good', 'slow', 'bad', 'hung', 'sick'] as const;

interface Watched {
  readonly id: string;
  readonly config: UpdateConfig;
  /** Slots that have had a healthy task, and are still declared. */
  readonly established: Set<number>;
  /** An image that crashes after its start was brought in, and its traces are not gone. */
  sawCrashes: boolean;
  replicasMax: number;
  nextChangeAtMs: number;
}

export class RolloutPart implements SimPart {
  readonly name = 'rollouts';
  readonly #services: Watched[] = [];
  #images = 0;
  #seenEvents = 0;

  begin(world: ServiceWorld): void {
    for (const [index, fields] of CONFIGS.entries()) {
      const id = `s${index}`;
      const config = UpdateConfig.create({ monitorMs: MONITOR_MS, progressDeadlineMs: DEADLINE_MS, ...fields });
      const { parallelism, order, monitorMs, progressDeadlineMs } = config;
      const rollback = UpdateConfig.create({ parallelism, order, monitorMs, progressDeadlineMs });
      const replicas = 3 + randomInt(world.random, 4);
      const declared = spec({ name: id, image: 'good:0', replicas, update: config, rollback });
      world.cluster.create('service', service(id, declared));
      world.cluster.create('revision', revision(id, 1, declared));
      const fresh = { established: new Set<number>(), sawCrashes: false, nextChangeAtMs: 0 };
      this.#services.push({ id, config, replicasMax: replicas, ...fresh });
    }
  }

  happen(world: ServiceWorld): void {
    const watched = world.pick(this.#services.filter(({ nextChangeAtMs }) => nextChangeAtMs <= world.cluster.nowMs));
    if (watched === undefined) return;
    watched.nextChangeAtMs = world.cluster.nowMs + PATIENCE_MS;
    switch (randomInt(world.random, 10)) {
      case 0:
      case 1:
      case 2:
      case 3:
        return this.#update(world, watched);
      case 4:
        return this.#scale(world, watched, 1 + randomInt(world.random, 8));
      case 5:
        return this.#steer(world, watched, 'pause', pauseRollout);
      case 6:
        return this.#steer(world, watched, 'resume', resumeRollout);
      case 7:
        return this.#steer(world, watched, 'promote', (view, id) => promoteRollout(view, id));
      case 8:
        return this.#steer(world, watched, 'abort', abortRollout);
      default: {
        const number = world.chance(1, 2) ? 0 : 1 + randomInt(world.random, 6);
        return this.#steer(world, watched, `rollback --to ${number}`, (view, id, help) =>
          rollbackService(view, id, number, help),
        );
      }
    }
  }

  check(world: ServiceWorld): void {
    const { cluster } = world;
    for (; this.#seenEvents < cluster.events.length; this.#seenEvents++) {
      const event = cluster.events[this.#seenEvents];
      if (event?.table === 'task' && event.kind === 'create') this.#checkMove(world, event.object);
    }
    for (const watched of this.#services) {
      const found = cluster.store.get('service', watched.id);
      assert.ok(found?.spec, 'the service is there');
      this.#checkRevision(world, found);
      this.#checkHealthy(world, watched, found);
      this.#checkServing(world, watched, found);
      this.#checkCanaries(world, watched, found);
    }
  }

  end(world: ServiceWorld): void {
    for (const { id, config } of this.#services) {
      const found = world.cluster.store.get('service', id);
      assert.ok(found?.spec);
      const status = found.updateStatus;
      const isDue = (status?.revision ?? 1) !== found.revision;
      assert.ok(!isDue, `${id}: an update never began`);
      switch (status?.state) {
        case undefined:
        case UpdateState.COMPLETED:
        case UpdateState.ROLLBACK_COMPLETED:
          if (config.failureAction !== FailureAction.CONTINUE) this.#checkWhole(world, found);
          break;
        case UpdateState.PAUSED:
        case UpdateState.ROLLBACK_PAUSED:
          assert.notEqual(status.pauseReason, UpdatePauseReason.UNSPECIFIED, `${id}: paused without a reason`);
          assert.notEqual(status.message, '');
          break;
        default:
          assert.fail(`${id}: an update that does not end: ${status?.message}`);
      }
    }
  }

  #update(world: ServiceWorld, watched: Watched): void {
    const image = `${world.pick(IMAGES)}:${++this.#images}`;
    world.trace(`${watched.id}: update to ${image}`);
    this.#change(world, watched, (before) => {
      const { container } = before.task ?? {};
      const task = before.task && container && { ...before.task, container: { ...container, image } };
      return { ...before, task };
    });
  }

  #scale(world: ServiceWorld, watched: Watched, replicas: number): void {
    world.trace(`${watched.id}: scale to ${replicas}`);
    watched.replicasMax = Math.max(watched.replicasMax, replicas);
    this.#change(world, watched, (before) => ({ ...before, mode: { kind: 'replicated', value: { replicas } } }));
  }

  #change(world: ServiceWorld, { id }: Watched, change: (before: ServiceSpec) => ServiceSpec): void {
    const found = world.cluster.store.get('service', id);
    if (found?.spec === undefined) return;
    const next = change(found.spec);
    this.#decide(world, (view, help) =>
      updateService(view, { id, version: found.version, spec: next }, help.author, help.random),
    );
  }

  #steer(
    world: ServiceWorld,
    { id }: Watched,
    verb: string,
    decide: (view: StoreView, id: string, help: RolloutHelp) => Decision<Service>,
  ): void {
    const outcome = this.#decide(world, (view, help) => decide(view, id, help));
    world.trace(`${id}: ${verb}${outcome}`);
  }

  /** An operator who is refused has learnt something. */
  #decide(world: ServiceWorld, decide: (view: StoreView, help: RolloutHelp) => Decision<unknown>): string {
    const { cluster, random } = world;
    try {
      const { changes } = decide(cluster.store, { author: 'operator', random, nowMs: cluster.nowMs });
      if (changes.length > 0) cluster.commit(...changes);
      return '';
    } catch (thrown) {
      if (!(thrown instanceof SwarmError)) throw thrown;
      return `: ${thrown.message}`;
    }
  }

  /** No slot is moved while the update is paused, nor to a revision that the service has left. */
  #checkMove(world: ServiceWorld, task: Task): void {
    const found = world.cluster.store.get('service', task.serviceId);
    const { rollout } = task;
    const isMove = rollout !== undefined && rollout.failedTask === '' && rollout.movedAtMs === task.createdAtMs;
    if (found?.updateStatus === undefined || !isMove || task.restartAttempt > 0) return;
    if (rollout.updateStartedAtMs !== found.updateStatus.startedAtMs) return;
    const { state } = found.updateStatus;
    const moves = state !== UpdateState.PAUSED && state !== UpdateState.ROLLBACK_PAUSED;
    assert.ok(moves, `${task.serviceId}/${task.slot} is moved while the update is paused`);
    assert.ok(task.revision <= found.revision);
  }

  /** The revision that the service names is there and says what the service says; so do those that tasks run. */
  #checkRevision(world: ServiceWorld, found: Service): void {
    const { store } = world.cluster;
    const present = store.revision(found.id, found.revision);
    assert.ok(present?.spec && found.spec, `${found.id}: revision ${found.revision} is missing`);
    assert.ok(sameRevision(present.spec, found.spec), `${found.id}: revision ${found.revision} is another spec`);
    for (const task of world.cluster.wanted(found.id))
      assert.ok(
        store.revision(found.id, task.revision),
        `${found.id}: a task runs revision ${task.revision}, which is gone`,
      );
  }

  #checkHealthy(world: ServiceWorld, watched: Watched, found: Service): void {
    const { id, established } = watched;
    const image = found.spec?.task?.container?.image ?? '';
    const wanted = new Set<number>();
    const healthy = new Set<number>();
    let crashing = image.startsWith('bad');
    for (const task of world.cluster.wanted(id)) {
      wanted.add(task.slot);
      if (imageOf(world, task).startsWith('bad')) crashing = true;
      if (isServing(world, task)) healthy.add(task.slot);
    }
    for (const slot of healthy) {
      established.add(slot);
      if (world.struck.delete(`${id}/${slot}`)) world.trace(`${id}/${slot} is whole again`);
    }
    for (const slot of established) if (!wanted.has(slot)) established.delete(slot);
    const lost = [...established].filter((slot) => !healthy.has(slot) && !world.struck.has(`${id}/${slot}`));
    watched.sawCrashes = crashing || (watched.sawCrashes && lost.length > 0);
    const allowed = allowedLoss(watched, found);
    assert.ok(lost.length <= allowed, `${id}: slots ${lost.join(', ')} have no healthy task, ${allowed} may`);
  }

  /** Stop-first: never two tasks of a slot that serve. */
  #checkServing(world: ServiceWorld, { id }: Watched, found: Service): void {
    if (updateRules(found.spec, 'update').startFirst) return;
    const slots = new Set<number>();
    for (const task of world.cluster.wanted(id)) {
      if (!isServing(world, task)) continue;
      assert.ok(!slots.has(task.slot), `${id}/${task.slot}: two tasks serve`);
      slots.add(task.slot);
    }
  }

  /** Until they are promoted, canaries are all there is of the new revision. */
  #checkCanaries(world: ServiceWorld, { id, config }: Watched, found: Service): void {
    const status = found.updateStatus;
    if (config.canaries === 0 || status === undefined || status.promoted || status.revision !== found.revision) return;
    if (status.state !== UpdateState.UPDATING && status.state !== UpdateState.PAUSED) return;
    const brought = world.cluster.wanted(id).filter((task) => task.revision === found.revision);
    const slots = new Set(brought.map(({ slot }) => slot));
    assert.ok(slots.size <= config.canaries, `${id}: ${slots.size} canaries, ${config.canaries} were asked for`);
  }

  /** An update that is done has brought all of it: every slot is healthy, and runs what is declared. */
  #checkWhole(world: ServiceWorld, found: Service): void {
    const { store } = world.cluster;
    const replicas = found.spec?.mode?.kind === 'replicated' ? found.spec.mode.value.replicas : 0;
    const running = world.cluster.running(found.id).filter((task) => task.status?.health?.ready !== false);
    const tolerated = Math.floor((found.spec?.update?.maxFailureRatio ?? 0) * replicas);
    const image = found.spec?.task?.container?.image;
    assert.ok(running.length >= replicas - tolerated, `${found.id}: ${running.length} of ${replicas} run`);
    assert.ok(running.length <= replicas, `${found.id}: ${running.length} of ${replicas} run`);
    for (const task of running)
      assert.equal(store.revision(found.id, task.revision)?.spec?.task?.container?.image, image, `${found.id}: image`);
  }
}

/** How many slots may be without a healthy task at a time, though no fault took it. */
function allowedLoss({ config, sawCrashes, replicasMax }: Watched, found: Service): number {
  if (config.failureAction === FailureAction.CONTINUE) return Number.POSITIVE_INFINITY;
  const parallelism = config.parallelism ?? 1;
  const tolerated = Math.floor(config.maxFailureRatio * replicasMax);
  const startFirst = updateRules(found.spec, 'update').startFirst;
  // What crashes is known to be bad only after it has run; while it does, another update may take its turn.
  if (sawCrashes) return 2 * parallelism + tolerated;
  return startFirst ? 0 : parallelism + tolerated;
}

function imageOf({ cluster }: ServiceWorld, task: Task): string {
  return cluster.store.revision(task.serviceId, task.revision)?.spec?.task?.container?.image ?? '';
}

function isServing(world: ServiceWorld, task: Task): boolean {
  const isUp = world.cluster.store.get('node', task.nodeId)?.status?.state === NodeState.READY;
  return isUp && task.status?.state === TaskState.RUNNING && task.status.health?.ready !== false;
}
