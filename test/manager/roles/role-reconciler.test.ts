/** The loops that act on decisions: deadlines, retries, stopping, what users see of a demotion that waits. */
import assert from 'node:assert/strict';
import { ManualClock } from '#common/clock.ts';
import { SwarmError } from '#common/errors.ts';
import { silentLogger } from '#common/log.ts';
import { SeededRandom } from '#common/random.ts';
import { Cluster, Node } from '#gen/swarm/v1/objects.ts';
import { NodeRole, NodeSpec } from '#gen/swarm/v1/specs.ts';
import { changesOfLevel } from '#manager/allocator/index.ts';
import { FeatureLevelRaiser, ROLES_CONFIG, type RoleMember, RoleReconciler } from '#manager/roles/index.ts';
import type { Change, CommitEvents, StoreView } from '#manager/store/index.ts';
import { MemoryView } from '#test/fixtures/memory-view.ts';

const { MANAGER, WORKER } = NodeRole;

/** The nodes and the cluster, changed as decided; tells of every change. */
class Objects {
  readonly #view = new MemoryView();
  refuse: SwarmError | undefined;
  readonly #listeners = new Set<(commit: CommitEvents) => void>();

  constructor() {
    const cluster = Cluster.create({ id: 'cluster', featureLevel: 1 });
    this.#view.commit([{ kind: 'create', table: 'cluster', object: cluster }]);
    this.#view.onCommit((commit) => {
      for (const listener of [...this.#listeners]) listener(commit);
    });
  }

  node(id: string): Node | undefined {
    return this.#view.get('node', id);
  }

  get cluster(): Cluster | undefined {
    return this.#view.cluster();
  }

  put(id: string, role: NodeRole, desiredRole: NodeRole): void {
    const version = this.node(id)?.version;
    const object = Node.create({ id, role, spec: NodeSpec.create({ desiredRole }), version: version ?? 0 });
    this.#view.commit([{ kind: version === undefined ? 'create' : 'update', table: 'node', object }]);
  }

  view(): StoreView {
    return this.#view;
  }

  async decide(change: (view: StoreView) => readonly Change[]): Promise<void> {
    if (this.refuse !== undefined) throw this.refuse;
    const changes = change(this.#view);
    if (changes.length > 0) this.#view.commit(changes);
  }

  onCommit(listener: (commit: CommitEvents) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }
}

class Members {
  members_: (RoleMember & { featureLevel: number })[] = [];
  readonly removed: number[] = [];
  handedOver = 0;
  refuse: SwarmError | undefined;
  readonly #listeners = new Set<() => void>();

  members(): readonly (RoleMember & { featureLevel: number })[] {
    return this.members_;
  }

  onMembers(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  set(...members: Partial<RoleMember & { featureLevel: number }>[]): void {
    this.members_ = members.map((one, index) => ({
      raftId: index + 1,
      nodeId: '',
      voter: true,
      reachable: true,
      self: false,
      featureLevel: 1,
      ...one,
    }));
    for (const listener of [...this.#listeners]) listener();
  }

  removeMember(raftId: number): Promise<void> {
    if (this.refuse !== undefined) return Promise.reject(this.refuse);
    this.removed.push(raftId);
    this.members_ = this.members_.filter((member) => member.raftId !== raftId);
    return Promise.resolve();
  }

  transferLeadership(): Promise<void> {
    this.handedOver++;
    this.set(...this.members_.map((member, index) => ({ ...member, self: index === 1 })));
    return Promise.resolve();
  }
}

const noQuorum = new SwarmError({ code: 'unavailable', reason: 'no-quorum', message: 'no quorum' });

async function turns(): Promise<void> {
  for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setImmediate(resolve));
}

describe('the loop over roles', () => {
  let store: Objects;
  let log: Members;
  let clock: ManualClock;
  let reconciler: RoleReconciler;

  beforeEach(() => {
    store = new Objects();
    log = new Members();
    clock = new ManualClock();
    const shared = { store, log, clock, random: new SeededRandom(1), logger: silentLogger, config: ROLES_CONFIG };
    reconciler = new RoleReconciler(shared);
    for (const id of ['a', 'b', 'c']) store.put(id, MANAGER, MANAGER);
    log.set({ nodeId: 'a', self: true }, { nodeId: 'b' }, { nodeId: 'c' });
  });

  afterEach(() => reconciler.stop());

  it('demotes as soon as it is asked for: out of the log, then a worker', async () => {
    reconciler.start();
    await turns();
    store.put('b', MANAGER, WORKER);
    await turns();
    assert.deepEqual(log.removed, [2]);
    assert.equal(store.node('b')?.role, WORKER);
  });

  it('promotes', async () => {
    store.put('w', WORKER, MANAGER);
    reconciler.start();
    await turns();
    assert.equal(store.node('w')?.role, MANAGER);
  });

  it('hands over when it leads and is to go, once', async () => {
    store.put('a', MANAGER, WORKER);
    reconciler.start();
    await turns();
    assert.equal(log.handedOver, 1);
  });

  it('tries again what the log refuses, after a while, and not before', async () => {
    log.refuse = noQuorum;
    store.put('b', MANAGER, WORKER);
    reconciler.start();
    await turns();
    assert.equal(store.node('b')?.role, MANAGER);
    log.refuse = undefined;
    store.put('x', WORKER, WORKER); // what happens meanwhile does not make it hurry
    await turns();
    assert.deepEqual(log.removed, []);
    clock.advance(300);
    await turns();
    assert.deepEqual(log.removed, [2]);
    assert.equal(store.node('b')?.role, WORKER);
  });

  it('shows in the status of the node why its demotion waits, and takes that back', async () => {
    log.set({ nodeId: 'a', self: true }, { nodeId: 'b' }, { nodeId: 'c', reachable: false });
    store.put('b', MANAGER, WORKER);
    reconciler.start();
    await turns();
    assert.equal(
      store.node('b')?.status?.message,
      'cannot be demoted yet: of the 2 managers that would stay, 1 can be reached and 2 are needed',
    );
    assert.deepEqual(log.removed, []);
    log.set({ nodeId: 'a', self: true }, { nodeId: 'b' }, { nodeId: 'c' });
    await turns();
    assert.equal(store.node('b')?.role, WORKER);
    assert.equal(store.node('b')?.status?.message, '');
  });

  it('does nothing any more once it is stopped, and goes on when it is started again', async () => {
    reconciler.start();
    await turns();
    reconciler.stop();
    store.put('b', MANAGER, WORKER);
    clock.advance(60_000);
    await turns();
    assert.deepEqual(log.removed, []);
    reconciler.start();
    await turns();
    assert.deepEqual(log.removed, [2]);
  });
});

describe('the feature level', () => {
  it('is raised when the last manager of the older release is gone, and tried again when a write fails', async () => {
    const store = new Objects();
    const log = new Members();
    const clock = new ManualClock();
    const shared = { store, log, clock, random: new SeededRandom(1), logger: silentLogger, config: ROLES_CONFIG };
    const raiser = new FeatureLevelRaiser(shared);
    log.set({ nodeId: 'a', featureLevel: 2 }, { nodeId: 'b', featureLevel: 1, voter: false });
    raiser.start();
    await Promise.resolve();
    assert.equal(store.cluster?.featureLevel, 1);
    store.refuse = noQuorum;
    log.set({ nodeId: 'a', featureLevel: 2 }, { nodeId: 'b', featureLevel: 2 });
    for (let turn = 0; turn < 5; turn++) await Promise.resolve();
    assert.equal(store.cluster?.featureLevel, 1);
    store.refuse = undefined;
    clock.advance(300);
    assert.equal(store.cluster?.featureLevel, 2);
    raiser.stop();
    log.set({ nodeId: 'a', featureLevel: 3 });
    assert.equal(store.cluster?.featureLevel, 2);
  });

  it('comes in one transaction with what it brings, and brings it once', async () => {
    const store = new Objects();
    const log = new Members();
    const clock = new ManualClock();
    const random = new SeededRandom(1);
    const commits: (readonly string[])[] = [];
    store.onCommit(({ events }) => commits.push(events.map(({ kind, table }) => `${kind} ${table}`)));
    const raiser = new FeatureLevelRaiser({
      ...{ store, log, clock, random, logger: silentLogger, config: ROLES_CONFIG },
      changesOfLevel: (view, level) => changesOfLevel(view, level, random),
    });
    log.set({ nodeId: 'a', featureLevel: 2 });
    raiser.start();
    await turns();
    log.set({ nodeId: 'a', featureLevel: 3 });
    await turns();
    log.set({ nodeId: 'a', featureLevel: 4 });
    await turns();
    assert.deepEqual(commits, [['update cluster'], ['update cluster', 'create network'], ['update cluster']]);
    raiser.stop();
  });

  it('is not raised above a manager that is being added, also where nobody knows whether it was', async () => {
    const store = new Objects();
    const log = new Members();
    const clock = new ManualClock();
    const shared = { store, log, clock, random: new SeededRandom(1), logger: silentLogger, config: ROLES_CONFIG };
    const raiser = new FeatureLevelRaiser(shared);
    log.set({ nodeId: 'a', featureLevel: 1 });
    raiser.start();
    const older = { nodeId: 'b', featureLevel: 1 };
    await assert.rejects(
      raiser.admit(older, () => Promise.reject(noQuorum)),
      noQuorum,
    );
    log.set({ nodeId: 'a', featureLevel: 2 });
    await turns();
    assert.equal(store.cluster?.featureLevel, 1);
    log.set({ nodeId: 'a', featureLevel: 2 }, older);
    await turns();
    log.set({ nodeId: 'a', featureLevel: 2 }, { nodeId: 'b', featureLevel: 2 });
    await turns();
    assert.equal(store.cluster?.featureLevel, 2);
    await assert.rejects(
      raiser.admit({ nodeId: 'c', featureLevel: 1 }, () => assert.fail('it is not added')),
      { reason: 'feature-level' },
    );
    assert.equal(await raiser.admit({ nodeId: 'c', featureLevel: 2 }, () => Promise.resolve('added')), 'added');
  });
});
