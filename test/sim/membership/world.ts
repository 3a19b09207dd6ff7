/**
 * Hosts that join, change role, leave, die and come back under virtual time. Real: what decides (certificate authority,
 * API of nodes, roles, cleanup, who is admitted) and keys and certificates. Simulated: disks, the network, the log's
 * members. What hosts do is in `host-acts.ts`; this file has the cluster, and what must hold.
 */
import assert from 'node:assert/strict';
import { ManualClock } from '#common/clock.ts';
import { SwarmError } from '#common/errors.ts';
import { silentLogger } from '#common/log.ts';
import { randomInt, SeededRandom } from '#common/random.ts';
import { EngineDescription, type Node, NodeDescription, NodeState, NodeStatus } from '#gen/swarm/v1/objects.ts';
import { ClusterSpec, NodeAvailability, NodeConfig, NodeRole } from '#gen/swarm/v1/specs.ts';
import { bootstrapCluster, CA_CONFIG, CertificateAuthority } from '#manager/ca/index.ts';
import { CLEANUP_CONFIG, cleanupChanges, cleanupSettings, decideCleanup, Presence } from '#manager/membership/index.ts';
import { decideRoles } from '#manager/roles/index.ts';
import type { Change, CommitEvents } from '#manager/store/index.ts';
import { MemoryView } from '#test/fixtures/memory-view.ts';
import { identityOf } from './identities.ts';
import { Crash, SimHost } from './sim-host.ts';
import { SimLog } from './sim-log.ts';

export const DOWN_AFTER_MS = 5_000;
/** What a node has that the leader before has heard of. */
const UNKNOWN_FOR_MS = 15_000;
/** A manager that was silent for this long counts as dead. */
const DEAD_AFTER_MS = 60_000;
const HOSTS = 7;
const SECOND_MS = 1_000;
/** Between the leader's last look at a manager that joins the log and the change of the members. */
const ADMISSION_MAX_S = 3;

function isDown({ status }: Node): boolean {
  return status?.state === NodeState.DOWN;
}

interface Admission {
  readonly host: SimHost;
  readonly nodeId: string;
  /** Monotonic. */
  readonly dueMs: number;
}

export interface WorldOptions {
  readonly seed: number;
  readonly onTrace?: ((line: string) => void) | undefined;
}

export class MembershipWorld {
  readonly clock = new ManualClock(Date.UTC(2030, 0, 1));
  readonly random: SeededRandom;
  readonly view = new MemoryView();
  readonly hosts: readonly SimHost[];
  readonly log: SimLog;
  readonly authority: CertificateAuthority;
  /** Ids of nodes that nobody could tell the managers about: the operator was told to remove them. */
  readonly ghosts = new Set<string>();
  readonly #onTrace: ((line: string) => void) | undefined;
  readonly #startMs: number;
  /** When each node was heard of, or a leader began to wait for it. */
  readonly #heardMs = new Map<string, number>();
  /** When each node was heard of, by whichever leader. */
  readonly #spokeMs = new Map<string, number>();
  /** Since when the entry of a dead manager is all that is left of it. */
  readonly #leftSinceMs = new Map<string, number>();
  #presence = new Presence(0);
  #leader: string | undefined;
  #admissions: Admission[] = [];

  constructor({ seed, onTrace }: WorldOptions) {
    this.random = new SeededRandom(seed + 7_000_000);
    this.#onTrace = onTrace;
    this.#startMs = this.clock.now();
    this.hosts = Array.from({ length: HOSTS }, (_, index) => new SimHost(`h${index}`));
    this.log = new SimLog((nodeId) => this.memberHost(nodeId)?.isConnected === true);
    this.authority = new CertificateAuthority({
      store: {
        view: () => this.view,
        commit: async (changes) => this.commit(changes),
        onCommit: (listener) => {
          this.view.onCommit((commit: CommitEvents) => listener(commit));
          return () => {};
        },
      },
      clock: this.clock,
      logger: silentLogger,
      config: CA_CONFIG,
      featureLevel: 5,
      managers: () => [],
      isMember: (nodeId) => this.log.has(nodeId),
    });
    this.#found();
  }

  #found(): void {
    const nodes = NodeConfig.create({
      cleanupDeadManagers: true,
      deadManagerAfterMs: DEAD_AFTER_MS,
      stabilizationMs: 5_000,
    });
    const { cluster, node, identity } = bootstrapCluster({
      nowMs: this.clock.now(),
      random: this.random,
      hostname: 'h0',
      availability: NodeAvailability.ACTIVE,
      featureLevel: 5,
      spec: ClusterSpec.create({ nodes }),
    });
    this.view.commit([
      { kind: 'create', table: 'cluster', object: cluster },
      { kind: 'create', table: 'node', object: node },
    ]);
    const first = this.hosts[0];
    assert.ok(first);
    first.disk.identity = identityOf(identity.keys, Buffer.from(identity.certificatePem));
    first.disk.raftId = this.log.found(node.id);
  }

  get elapsedMs(): number {
    return this.clock.now() - this.#startMs;
  }

  trace(line: string): void {
    this.#onTrace?.(`${(this.elapsedMs / 1000).toFixed(1).padStart(8)} ${line}`);
  }

  chance(one: number, outOf: number): boolean {
    return randomInt(this.random, outOf) < one;
  }

  pick<T>(from: readonly T[]): T | undefined {
    return from[randomInt(this.random, Math.max(1, from.length))];
  }

  nameOf(nodeId: string): string {
    return this.view.get('node', nodeId)?.description?.hostname ?? nodeId;
  }

  /** The host whose disk has this member's log. */
  memberHost(nodeId: string): SimHost | undefined {
    const raftId = this.log.all.find((member) => member.nodeId === nodeId)?.raftId;
    return this.hosts.find(({ disk }) => disk.raftId !== undefined && disk.raftId === raftId);
  }

  /** Whether the others are a quorum if the log on this host's disk is lost. */
  survivesLossOf({ disk }: SimHost): boolean {
    const { raftId } = disk;
    disk.raftId = undefined;
    const isQuorum = this.log.hasQuorum;
    disk.raftId = raftId;
    return isQuorum;
  }

  /** What every write needs. @throws SwarmError `no-quorum` */
  commit(changes: readonly Change[]): void {
    if (!this.log.hasQuorum) throw new SwarmError({ code: 'unavailable', reason: 'no-quorum', message: 'no leader' });
    for (const { kind, table, object } of changes)
      if (kind === 'remove' && table === 'node')
        assert.ok(!this.log.has(object.id), `the entry of ${this.nameOf(object.id)} goes, a member of the log`);
    this.view.commit(changes);
  }

  /** An operator's request. `reasons`: why it has to be refused, found by another way than the API's; none: it has to be done. */
  ask(what: string, decide: () => readonly Change[], reasons: readonly string[]): boolean {
    try {
      this.commit(decide());
    } catch (thrown) {
      if (!(thrown instanceof SwarmError)) throw thrown;
      this.trace(`${what}: refused, ${thrown.reason}: ${thrown.message}`);
      assert.ok(reasons.includes(thrown.reason), `${what} was refused without reason: ${thrown.message}`);
      return false;
    }
    this.trace(what);
    assert.deepEqual(reasons, [], `${what} was to be refused`);
    return true;
  }

  /** A manager that the leader has looked at asks to be a member; it is one when the log has agreed, whatever it is then. */
  askForMembership(host: SimHost, nodeId: string): void {
    if (this.#admissions.some((admission) => admission.nodeId === nodeId)) return;
    const dueMs = this.clock.monotonic() + randomInt(this.random, ADMISSION_MAX_S + 1) * SECOND_MS;
    this.#admissions.push({ host, nodeId, dueMs });
  }

  /** Steps of a host; a crash ends them, a refusal too. */
  async act(host: SimHost, what: string, steps: () => Promise<void>): Promise<void> {
    try {
      await steps();
    } catch (thrown) {
      if (thrown instanceof Crash) this.trace(`${host.name} dies while it ${what}`);
      else if (thrown instanceof SwarmError) this.trace(`${host.name} ${what}: ${thrown.reason}: ${thrown.message}`);
      else throw thrown;
    }
  }

  heard(nodeId: string): void {
    this.#heardMs.set(nodeId, this.clock.monotonic());
    this.#spokeMs.set(nodeId, this.clock.monotonic());
    const node = this.view.get('node', nodeId);
    if (node === undefined || node.status?.state === NodeState.READY) return;
    this.#setState(node, NodeState.READY);
  }

  gone(nodeId: string): void {
    const node = this.view.get('node', nodeId);
    if (node !== undefined && node.status?.state !== NodeState.DOWN) this.#setState(node, NodeState.DOWN);
  }

  /** The leader's side of a second; hosts are stepped by the caller. */
  lead(): void {
    this.clock.advance(SECOND_MS);
    const { leader } = this.log;
    if (leader !== this.#leader) this.#takeOver(leader);
    if (leader === undefined) return;
    for (const node of this.view.all('node')) {
      const heardMs = this.#heardMs.get(node.id) ?? this.clock.monotonic();
      this.#heardMs.set(node.id, heardMs);
      if (heardMs + this.#graceMs(node) <= this.clock.monotonic()) this.#setState(node, NodeState.DOWN);
    }
    this.#cleanUp();
    this.#reconcileRoles();
    this.#admit();
  }

  /** A new leader knows of nobody that it has not heard of. */
  #takeOver(leader: string | undefined): void {
    this.#leader = leader;
    this.#presence = new Presence(this.clock.monotonic());
    this.#leftSinceMs.clear();
    for (const node of this.view.all('node')) {
      this.#heardMs.set(node.id, this.clock.monotonic());
      if (node.status?.state === NodeState.READY) this.#setState(node, NodeState.UNKNOWN);
    }
  }

  /** How long the node may be silent; Infinity for one that is down. */
  #graceMs({ status, description }: Node): number {
    if (status?.state === NodeState.READY) return DOWN_AFTER_MS;
    if (status?.state !== NodeState.UNKNOWN) return Number.POSITIVE_INFINITY;
    return description?.engine === undefined ? DOWN_AFTER_MS : UNKNOWN_FOR_MS;
  }

  /** As the log does with members that were proposed. The answer may be lost. */
  #admit(): void {
    const isDue = ({ dueMs }: Admission): boolean => dueMs <= this.clock.monotonic();
    const due = this.#admissions.filter(isDue);
    this.#admissions = this.#admissions.filter((admission) => !isDue(admission));
    for (const { host, nodeId } of due) {
      if (!this.log.hasQuorum) continue;
      const raftId = this.log.add(nodeId);
      this.trace(`${this.nameOf(nodeId)} is a learner`);
      const isHeard = host.isConnected && host.disk.identity?.nodeId === nodeId && this.chance(7, 8);
      if (isHeard) host.disk.raftId = raftId;
    }
  }

  #setState(node: Node, state: NodeState): void {
    if (!this.log.hasQuorum) return;
    const current = this.view.get('node', node.id);
    if (current === undefined) return;
    const description = NodeDescription.create({ ...current.description, engine: EngineDescription.create() });
    const status = NodeStatus.create({ state, sinceMs: this.clock.now() });
    this.commit([{ kind: 'update', table: 'node', object: { ...current, description, status } }]);
  }

  /** As `RoleReconciler` does, and the log below it. */
  #reconcileRoles(): void {
    for (let count = 0; count < 8 && this.log.leader !== undefined; count++) {
      const [step] = decideRoles({ nodes: [...this.view.all('node')], members: this.log.view() }).steps;
      if (step === undefined) return;
      if (step.kind === 'hand-over') {
        this.trace(`${this.nameOf(step.nodeId)} hands over`);
        this.log.handOver();
        return;
      }
      if (step.kind === 'remove-member') {
        this.trace(`${this.nameOf(step.nodeId)} leaves the log: ${step.why}`);
        this.keepingQuorum('a removal from the log', () => this.log.remove(step.raftId));
        continue;
      }
      const node = this.view.get('node', step.nodeId);
      if (node === undefined) return;
      this.trace(`${this.nameOf(node.id)} is a ${step.role === NodeRole.MANAGER ? 'manager' : 'worker'}`);
      this.commit([{ kind: 'update', table: 'node', object: { ...node, role: step.role } }]);
    }
  }

  #cleanUp(): void {
    const members = this.log.view();
    const nowMs = this.clock.monotonic();
    this.#presence.look(this.view.all('node'), members, nowMs);
    const settings = cleanupSettings(this.view.cluster(), CLEANUP_CONFIG);
    const seen = this.#presence.seen(nowMs);
    const nodes = this.view.all('node');
    const step = decideCleanup({
      nodes,
      members,
      settings,
      seen,
      mayStillRun: () => false,
      nowMs: this.clock.now(),
    });
    if (step === undefined) {
      this.#checkLeftEntries(nodes);
      return;
    }
    this.trace(`cleanup: ${step.kind} ${this.nameOf(step.node.id)}`);
    if (step.kind === 'remove') {
      const silentMs = nowMs - (this.#spokeMs.get(step.node.id) ?? 0);
      assert.ok(
        silentMs >= DEAD_AFTER_MS,
        `${this.nameOf(step.node.id)} was heard of ${silentMs} ms before its removal`,
      );
      this.ghosts.delete(step.node.id);
    }
    this.commit(cleanupChanges(this.view, step, this.clock.now()));
  }

  /** A dead manager that is out of the log is removed when this leader has missed it. */
  #checkLeftEntries(nodes: Iterable<Node>): void {
    const nowMs = this.clock.monotonic();
    const left = [...nodes].filter((node) => node.cleanedUp && !this.log.has(node.id) && isDown(node));
    for (const id of this.#leftSinceMs.keys()) if (!left.some((node) => node.id === id)) this.#leftSinceMs.delete(id);
    for (const { id } of left) {
      const sinceMs = this.#leftSinceMs.get(id) ?? nowMs;
      this.#leftSinceMs.set(id, sinceMs);
      assert.ok(sinceMs + DEAD_AFTER_MS >= nowMs, `${this.nameOf(id)} is out of the log, and its entry stays`);
    }
  }

  /** Nothing that the swarm does by itself takes its quorum. */
  keepingQuorum(what: string, change: () => void): void {
    const before = this.log.hasQuorum;
    change();
    assert.ok(!before || this.log.hasQuorum, `${what} has taken the quorum`);
  }

  /** What holds at every moment. */
  check(): void {
    const owners = new Map<string, string>();
    for (const { name, disk, isRunning } of this.hosts) {
      const { identity } = disk;
      const node = identity === undefined ? undefined : this.view.get('node', identity.nodeId);
      // One that left, or was removed, and has not heard of it yet, is nobody's node.
      if (identity === undefined || node === undefined || !isRunning) continue;
      if (identity.notBeforeMs < node.certificatesFromMs) continue;
      const other = owners.get(identity.nodeId);
      assert.equal(other, undefined, `${name} and ${other} are one node`);
      owners.set(identity.nodeId, name);
    }
    const ids = this.log.all.map(({ nodeId }) => nodeId);
    assert.equal(new Set(ids).size, ids.length, 'a node is a member of the log twice');
  }

  /** Faults are over, everything has settled. */
  checkEnd(): void {
    const cluster = this.view.cluster();
    for (const node of this.view.all('node')) {
      const host = this.hosts.find(({ disk }) => disk.identity?.nodeId === node.id);
      const name = this.nameOf(node.id);
      assert.ok(!node.cleanedUp, `${name} is still being cleaned up`);
      assert.ok(
        cluster?.removedNodes.every(({ nodeId }) => nodeId !== node.id),
        `${name} is a node and was removed`,
      );
      if (host === undefined) {
        assert.ok(this.ghosts.has(node.id), `${name} is a ghost that nobody was told of`);
        assert.equal(node.status?.state, NodeState.DOWN, `the ghost ${name} is down`);
        assert.ok(!this.log.has(node.id), `the ghost ${name} still counts for the quorum`);
        continue;
      }
      const isManager = node.role === NodeRole.MANAGER;
      assert.equal(node.status?.state, NodeState.READY, `${name} is ready`);
      assert.equal(node.spec?.desiredRole, node.role, `${name} has the role that it should have`);
      assert.equal(host.disk.identity?.role, isManager ? 'manager' : 'worker', `${name}: certificate`);
      const member = this.log.all.find(({ nodeId }) => nodeId === node.id);
      assert.equal(member?.voter ?? false, isManager, `${name}: voter`);
      assert.equal(host.disk.raftId, member?.raftId, `${name}: log on its disk`);
    }
    for (const { name, disk } of this.hosts) {
      const id = disk.identity?.nodeId;
      assert.ok(id === undefined || this.view.get('node', id), `${name} is a node that the swarm does not know`);
      assert.equal(disk.departure, undefined, `${name} has left, or not`);
      if (id === undefined) assert.equal(disk.raftId, undefined, `${name} has a log and is no node`);
    }
  }
}
