/**
 * A swarm of leader loops and simulated agents under virtual time, in which services live. What happens to them and what
 * they have promised is the business of parts: updates are one, others may join (a part is all that is needed).
 */
import { randomInt, SeededRandom } from '#common/random.ts';
import { type Node, NodeState, TaskState } from '#gen/swarm/v1/objects.ts';
import { NodeAvailability, NodeSpec } from '#gen/swarm/v1/specs.ts';
import { type Fate, LoopCluster } from '#test/manager/loops/loop-cluster.ts';
import { cluster as clusterObject, node } from '#test/manager/loops/objects.ts';

const NODES = 5;
const ENDLESS = 1_000_000;
const STEP_MS = 500;

/** One kind of service with its operators and its promises. */
export interface SimPart {
  readonly name: string;
  /** Declares what it has. */
  begin(world: ServiceWorld): void;
  /** Something happens that an operator might do. */
  happen(world: ServiceWorld): void;
  /** Called whenever something may have changed. Throws what is broken. */
  check(world: ServiceWorld): void;
  /** Faults have stopped, and an hour has passed. Throws what has not come about. */
  end(world: ServiceWorld): void;
  /** How the container of a task ends by itself, as LoopCluster asks for it. */
  fate?(imageOfTask: string): Fate | undefined;
}

export interface WorldOptions {
  readonly seed: number;
  readonly parts: readonly SimPart[];
  /** Nothing breaks but what users declare. */
  readonly isCalm: boolean;
  readonly onTrace?: ((line: string) => void) | undefined;
}

export class ServiceWorld {
  readonly cluster: LoopCluster;
  readonly random: SeededRandom;
  readonly isCalm: boolean;
  /** Slots that a fault took something from since, as `service/slot`. Parts take them out once they are whole again. */
  readonly struck = new Set<string>();
  readonly #parts: readonly SimPart[];
  readonly #onTrace: ((line: string) => void) | undefined;
  readonly #startMs: number;
  /** When nodes come back. */
  readonly #returns = new Map<string, number>();

  constructor({ seed, parts, isCalm, onTrace }: WorldOptions) {
    // Another one than the loops have: ids of both live in one store.
    this.random = new SeededRandom(seed + 1_000_000);
    this.isCalm = isCalm;
    this.#parts = parts;
    this.#onTrace = onTrace;
    this.cluster = new LoopCluster({
      seed,
      orchestrator: { slotsPerSlice: ENDLESS, groupsPerSlice: ENDLESS },
      scheduler: { placementsPerSlice: ENDLESS, evaluationsPerSlice: ENDLESS, reasonIntervalMs: 0 },
      fate: (task, cluster) => {
        const image = cluster.store.revision(task.serviceId, task.revision)?.spec?.task?.container?.image ?? '';
        for (const part of parts) {
          const fate = part.fate?.(image);
          if (fate !== undefined) return fate;
        }
        return image.startsWith('bad') ? { afterMs: 500, state: TaskState.FAILED, exitCode: 3 } : undefined;
      },
      hangsAt: (task, cluster) => {
        const image = cluster.store.revision(task.serviceId, task.revision)?.spec?.task?.container?.image ?? '';
        return image.startsWith('hung') ? TaskState.PREPARING : undefined;
      },
      isReady: (task, cluster) => {
        const image = cluster.store.revision(task.serviceId, task.revision)?.spec?.task?.container?.image ?? '';
        return image.startsWith('sick') || image.startsWith('slow') ? false : undefined;
      },
    });
    this.#startMs = this.cluster.nowMs;
    this.cluster.create('cluster', { ...clusterObject(), featureLevel: 5 });
    for (let i = 1; i <= NODES; i++) this.cluster.create('node', node(`n${i}`));
    for (const part of parts) part.begin(this);
    this.advance(30_000);
  }

  get elapsedMs(): number {
    return this.cluster.nowMs - this.#startMs;
  }

  trace(line: string): void {
    this.#onTrace?.(`${(this.elapsedMs / 1000).toFixed(2).padStart(9)} ${line}`);
  }

  chance(one: number, outOf: number): boolean {
    return randomInt(this.random, outOf) < one;
  }

  pick<T>(from: readonly T[]): T | undefined {
    return from[randomInt(this.random, Math.max(1, from.length))];
  }

  /** A random history, then peace and an hour. */
  run(happenings: number): void {
    for (let i = 0; i < happenings; i++) {
      this.#happen();
      this.advance(this.pick([0, 250, 1000, 1000, 3000, 10_000, 40_000]) ?? 0);
    }
    this.#heal();
    this.advance(120_000);
    this.cluster.run(3_600_000);
    this.check();
    for (const part of this.#parts) part.end(this);
  }

  check(): void {
    for (const part of this.#parts) part.check(this);
  }

  /** Loops and agents work, some sooner than others, with a look at every promise after each move. */
  advance(ms: number): void {
    const untilMs = this.cluster.nowMs + ms;
    for (;;) {
      this.#comeBack();
      this.#becomeReady();
      for (let round = 0; round < 1000; round++) {
        const planned = this.cluster.settle();
        this.check();
        const lazy = this.chance(1, 3) ? (this.pick([...this.cluster.store.all('node')])?.id ?? '') : '';
        const reported = this.cluster.stepAgents(({ id }) => id !== lazy);
        this.check();
        if (planned + reported === 0) break;
      }
      if (this.cluster.nowMs >= untilMs) return;
      this.cluster.nowMs += STEP_MS;
    }
  }

  #happen(): void {
    const { cluster } = this;
    cluster.interfere = this.chance(1, 4) ? () => this.#interfere() : undefined;
    if (this.chance(1, 6)) {
      this.trace('another leader');
      cluster.changeLeader();
      return;
    }
    if (!this.isCalm && this.chance(1, 3)) this.#break();
    else this.pick(this.#parts)?.happen(this);
  }

  /** Someone else writes a task between a plan and its commit. */
  #interfere(): void {
    const task = this.pick(this.cluster.tasks());
    if (task !== undefined && this.chance(1, 2)) this.cluster.edit('task', task.id, {});
  }

  #break(): void {
    const { cluster } = this;
    const victim = this.pick([...cluster.store.all('node')]);
    if (victim === undefined) return;
    switch (randomInt(this.random, 3)) {
      case 0:
        if (this.#returns.size >= 2 || victim.status?.state !== NodeState.READY) return;
        this.trace(`${victim.id} is down`);
        this.#strike(victim);
        cluster.setNodeState(victim.id, NodeState.DOWN);
        this.#returns.set(victim.id, cluster.nowMs + (this.pick([2000, 20_000, 90_000]) ?? 0));
        return;
      case 1: {
        const isDrained = victim.spec?.availability === NodeAvailability.DRAIN;
        const availability = isDrained ? NodeAvailability.ACTIVE : NodeAvailability.DRAIN;
        this.trace(`${victim.id} is ${isDrained ? 'active' : 'drained'}`);
        this.#strike(victim);
        cluster.edit('node', victim.id, { spec: NodeSpec.create({ ...victim.spec, availability }) });
        return;
      }
      default: {
        const running = cluster.running().filter(({ nodeId }) => this.#isUp(nodeId));
        const task = this.pick(running);
        if (task === undefined) return;
        this.trace(`task ${task.id} of ${task.serviceId}/${task.slot} dies`);
        this.struck.add(`${task.serviceId}/${task.slot}`);
        cluster.fail(task);
      }
    }
  }

  #isUp(nodeId: string): boolean {
    return this.cluster.store.get('node', nodeId)?.status?.state === NodeState.READY;
  }

  /** What has a task there is excused. */
  #strike(victim: Node): void {
    for (const task of this.cluster.store.tasksOfNode(victim.id)) this.struck.add(`${task.serviceId}/${task.slot}`);
  }

  #comeBack(): void {
    for (const [id, atMs] of this.#returns) {
      if (atMs > this.cluster.nowMs) continue;
      this.#returns.delete(id);
      this.trace(`${id} is back`);
      this.cluster.setNodeState(id, NodeState.READY);
    }
  }

  /** Tasks of slow images are ready two seconds after they have started. */
  #becomeReady(): void {
    const { cluster } = this;
    for (const task of cluster.running()) {
      if (task.status?.health?.ready !== false || !this.#isUp(task.nodeId)) continue;
      const image = cluster.store.revision(task.serviceId, task.revision)?.spec?.task?.container?.image ?? '';
      const sinceMs = task.status.container?.startedAtMs ?? 0;
      if (image.startsWith('slow') && cluster.nowMs >= sinceMs + 2000) cluster.setReady(task, true);
    }
  }

  #heal(): void {
    const { cluster } = this;
    this.trace('peace');
    cluster.interfere = undefined;
    for (const id of this.#returns.keys()) this.#returns.set(id, 0);
    this.#comeBack();
    for (const { id, spec } of [...cluster.store.all('node')])
      cluster.edit('node', id, { spec: NodeSpec.create({ ...spec, availability: NodeAvailability.ACTIVE }) });
  }
}
