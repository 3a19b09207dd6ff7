/**
 * Goal: one manager is made the only one where no other goes on, and wholly or not at all. Method: the server of a real
 * manager for who is asked; the steps of the node with disks that fail at each of them.
 */
import assert from 'node:assert/strict';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { LoadedIdentity } from '#agent/identity/index.ts';
import { SwarmError } from '#common/errors.ts';
import { NodeRole } from '#gen/swarm/v1/specs.ts';
import { type ForcedNode, forcedPhase, goOnAlone, markForced, unmarkForced } from '#src/swarmd/forced-cluster.ts';
import type { ManagerPart } from '#src/swarmd/manager-part.ts';
import type { ManagerRole } from '#src/swarmd/manager-role.ts';
import { type AskedPart, refuseBesideOthers } from '#src/swarmd/other-managers.ts';
import { must } from '#test/certs/rejects.ts';
import { GuardedManager, type Shown } from './security/guarded-manager.ts';

function problem(reason: SwarmError['reason']): SwarmError {
  return new SwarmError({ code: 'unavailable', reason, message: `because of ${reason}` });
}

describe('swarmd: who may go on alone', function () {
  this.timeout(30_000);
  let manager: GuardedManager;
  let self: Shown;

  beforeEach(async () => {
    manager = await GuardedManager.start();
    self = manager.mint({ role: 'manager' });
    await manager.admit(self);
  });
  afterEach(() => manager.close());

  const notServing: AskedPart = {
    settled: async () => Promise.resolve(problem('timeout')),
    failure: undefined,
    serving: undefined,
  };
  const serving = (others: readonly string[], answers: boolean): AskedPart => ({
    ...notServing,
    settled: async () => Promise.resolve(undefined),
    serving: {
      log: {
        members: () => others.map((address) => ({ ...MEMBER, address })),
        readBarrier: () => (answers ? Promise.resolve(1) : Promise.reject(problem('no-quorum'))),
      },
    },
  });
  const MEMBER = {
    raftId: 1,
    nodeId: 'n',
    address: '',
    featureLevel: 1,
    voter: true,
    self: false,
    leader: false,
    reachable: true,
  };
  const refusal = async (managerPart: AskedPart, known: readonly string[]): Promise<SwarmError | undefined> => {
    const nodeIdentity = { tls: () => self, clusterId: manager.swarm.cluster.id };
    const asking = refuseBesideOthers({ managerPart, nodeIdentity, otherManagers: () => known }, 1_000);
    return asking.then(
      () => undefined,
      (thrown: unknown) => SwarmError.from(thrown),
    );
  };

  it('not one that does not serve, while another one answers a read', async () => {
    const error = await refusal(notServing, ['127.0.0.1:1', manager.address]);
    assert.equal(error?.reason, 'in-use');
    assert.match(error?.message ?? '', new RegExp(`other managers \\(${manager.address}\\)`));
    manager.swarm.elect(undefined);
    assert.equal(await refusal(notServing, ['127.0.0.1:1', manager.address]), undefined, 'nobody has a quorum');
    assert.equal(await refusal(notServing, []), undefined);
  });

  it('not one that serves, while it is answered itself, or a member of its log is', async () => {
    assert.equal((await refusal(serving(['127.0.0.1:1'], true), []))?.reason, 'in-use');
    assert.equal((await refusal(serving([manager.address], false), []))?.reason, 'in-use');
    assert.equal(await refusal(serving(['127.0.0.1:1'], false), []), undefined);
    assert.equal(await refusal(serving([], true), [manager.address]), undefined, 'alone already');
  });

  it('not one that will never serve, nor one that the others have demoted or removed', async () => {
    const failed = { ...notServing, failure: problem('feature-level') };
    assert.equal((await refusal(failed, []))?.reason, 'feature-level');
    const { store } = manager.swarm.a;
    const node = must(store.view().get('node', self.names.nodeId));
    await store.commit([{ kind: 'update', table: 'node', object: { ...node, role: NodeRole.WORKER } }]);
    assert.equal((await refusal(notServing, [manager.address]))?.reason, 'wrong-role');
    await manager.remove(self);
    assert.equal((await refusal(notServing, [manager.address]))?.reason, 'node-removed');
  });
});

describe('swarmd: going on alone', () => {
  let directory = '';
  let forced = '';
  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'starling-forced-'));
    forced = join(directory, 'force-new-cluster');
  });
  afterEach(() => rm(directory, { recursive: true }));

  const role = {} as ManagerRole; // handed through, not looked at
  const loaded = {} as LoadedIdentity; // the same

  /** The manager part comes up so far, and no further. */
  class Node implements ForcedNode {
    manager: ManagerRole | undefined;
    isRunning = true;
    readonly #comesUp: () => Promise<SwarmError | undefined>;
    readonly nodeIdentity = { replace: () => {} } as unknown as ForcedNode['nodeIdentity']; // only this is called

    constructor(comesUp: () => Promise<SwarmError | undefined>) {
      this.#comesUp = comesUp;
    }

    stopManager(): Promise<void> {
      this.isRunning = false;
      return Promise.resolve();
    }

    startManager(): ManagerPart {
      this.isRunning = true;
      const settled = async (): Promise<SwarmError | undefined> => {
        const found = await this.#comesUp();
        if (found === undefined) this.manager = role;
        return found;
      };
      return { settled } as unknown as ManagerPart; // nothing else of it is asked
    }
  }

  const go = (node: Node, load = (): Promise<LoadedIdentity> => Promise.resolve(loaded)): Promise<ManagerRole> =>
    goOnAlone(node, { paths: { forced }, load, patienceMs: 1_000 });

  it('is marked before the manager is started, and who finishes it takes the mark away', async () => {
    let before: unknown;
    const node = new Node(async () => {
      before = await forcedPhase({ forced });
      await markForced({ forced }, 'decided');
      await unmarkForced({ forced });
      return undefined;
    });
    assert.equal(await go(node), role);
    assert.equal(before, 'asked');
    assert.equal(await forcedPhase({ forced }), undefined);
  });

  it('is taken back where the log could not be taken over', async () => {
    const node = new Node(() => Promise.resolve(problem('corrupt-log')));
    await assert.rejects(go(node), { reason: 'corrupt-log', message: 'because of corrupt-log' });
    assert.equal(await forcedPhase({ forced }), undefined);
    assert.equal(node.isRunning, true);
  });

  it('stays marked where the log was taken over, and says that it goes on', async () => {
    const node = new Node(async () => {
      await markForced({ forced }, 'decided');
      return problem('timeout');
    });
    await assert.rejects(go(node), { reason: 'timeout', message: /the only one of its swarm from now on.*timeout/ });
    assert.equal(await forcedPhase({ forced }), 'decided');
    assert.equal(node.isRunning, true);
    // Asked for again, it stays decided whatever comes.
    await assert.rejects(
      go(node, () => Promise.reject(problem('disk-full'))),
      { reason: 'disk-full' },
    );
    assert.equal(await forcedPhase({ forced }), 'decided');
  });

  it('stays marked where the log is taken over by the time that the manager has stopped', async () => {
    class Late extends Node {
      #stops = 0;
      override async stopManager(): Promise<void> {
        await super.stopManager();
        if (++this.#stops === 2) await markForced({ forced }, 'decided');
      }
    }
    const node = new Late(() => Promise.resolve(problem('timeout')));
    await assert.rejects(go(node), /the only one of its swarm/);
    assert.equal(await forcedPhase({ forced }), 'decided');
    assert.equal(node.isRunning, true);
  });

  it('leaves a manager that runs, whatever fails on the way', async () => {
    const node = new Node(() => Promise.resolve(undefined));
    await assert.rejects(
      go(node, () => Promise.reject(problem('corrupt-state'))),
      { message: 'because of corrupt-state' },
    );
    assert.equal(node.isRunning, true);
    // The mark cannot be written: a directory is in its place.
    await mkdir(forced);
    await assert.rejects(go(node));
    assert.equal(node.isRunning, true);
  });

  it('knows the mark of an earlier release, and of one that goes on with it', async () => {
    await writeFile(forced, 'format: 1\n');
    assert.equal(await forcedPhase({ forced }), 'asked');
    await markForced({ forced }, 'decided');
    await markForced({ forced }, 'asked');
    assert.match(await readFile(forced, 'utf8'), /^format: 1\n/);
    assert.equal(await forcedPhase({ forced }), 'decided');
    await unmarkForced({ forced });
    await unmarkForced({ forced });
    assert.equal(await forcedPhase({ forced }), undefined);
  });
});
