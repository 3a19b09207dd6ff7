/**
 * Goal: what a host has announced it goes on with, and what it has not become leaves nothing. Method: the membership of one
 * host in this process, with faults of the host and no patience.
 */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { access, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { IdentityStore } from '#agent/identity/index.ts';
import { withDeadline } from '#common/system/deadline.ts';
import { InitSwarmRequest, JoinSwarmRequest } from '#gen/swarm/v1/node.ts';
import { NodeRole } from '#gen/swarm/v1/specs.ts';
import { DAEMON_CONFIG, type DaemonConfig } from '#src/swarmd/config.ts';
import type { DaemonParts } from '#src/swarmd/daemon-parts.ts';
import { Membership } from '#src/swarmd/membership.ts';
import { eventually } from '#test/support/eventually.ts';
import { failure } from '#test/support/failure.ts';
import { freePort } from './support/daemon-process.ts';
import { hostParts } from './support/host-parts.ts';

const HOST = '127.0.0.1';

describe('swarmd: the membership of a host on which something fails', () => {
  let directory = '';
  let parts: DaemonParts;
  let address = '';
  /** Faults of this host while it removes containers. */
  let faults = 0;
  let running: Membership | undefined;

  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'starling-membership-'));
    parts = await hostParts(directory);
    address = `${HOST}:${await freePort()}`;
    faults = 0;
    const { executor } = parts;
    const simulated = executor.recover.bind(executor);
    executor.recover = async (known) => {
      if (faults-- > 0) throw new Error('the disk is broken');
      return simulated(known);
    };
  });
  afterEach(async () => {
    await running?.close();
    running = undefined;
    await rm(directory, { recursive: true });
  });

  async function started(more: Partial<DaemonConfig> = {}, store = new IdentityStore(directory)): Promise<Membership> {
    await running?.close();
    running = new Membership(parts, store, { ...DAEMON_CONFIG, ...more });
    await running.start();
    return running;
  }

  const init = (membership: Membership) =>
    membership.init(InitSwarmRequest.create({ listenAddress: address, advertiseAddress: address }));
  const serves = (membership: Membership): Promise<void> =>
    eventually('the manager to serve', () => {
      const { state } = membership;
      return state.kind === 'active' && state.manager !== undefined;
    });
  const has = (path: string): Promise<boolean> =>
    access(path).then(
      () => true,
      () => false,
    );

  it('a swarm whose manager is slow to come up is kept', async () => {
    const store = new IdentityStore(directory);
    const slow = Promise.withResolvers<void>();
    const settle = store.keys.settle.bind(store.keys);
    let isJoining = false;
    // The manager part opens the keys of its log once it listens; by then the agent has begun.
    parts.networks.join = async () => {
      isJoining = true;
    };
    store.keys.settle = async () => {
      if (isJoining) await slow.promise;
      await settle();
    };
    const membership = await started({ managerHeadStartMs: 0, managerPatienceMs: 0 }, store);
    const { warnings, workerToken } = await init(membership);
    slow.resolve();
    assert.match(warnings.join(), /not up yet.*in the background/);
    assert.notEqual(workerToken, '');
    await serves(membership);
  });

  it('a swarm that cannot be founded leaves nothing, and can be founded then', async () => {
    const membership = await started();
    const other = join(directory, 'other');
    await mkdir(other);
    const blocked = new Membership(await hostParts(other), new IdentityStore(other));
    await init(blocked);
    try {
      assert.equal((await failure(init(membership))).reason, 'in-use');
    } finally {
      await blocked.close();
    }
    assert.equal(membership.state.kind, 'inactive');
    assert.deepEqual([await has(parts.paths.node), await has(parts.paths.log)], [false, false]);
    assert.deepEqual((await init(membership)).warnings, []);
  });

  it('a departure that this host holds up is finished by itself', async () => {
    const membership = await started({ forgetRetry: { baseMs: 5, maxMs: 5, factor: 1, jitter: 0 } });
    await init(membership);
    faults = 3;
    assert.match((await failure(membership.leave(true))).hint ?? '', /goes on trying by itself/);
    assert.match((await failure(init(membership))).message, /still leaving its swarm|already part/);
    await eventually('the host to be in no swarm', () => membership.state.kind === 'inactive');
    assert.equal(membership.departure?.phase, 'left');
    assert.equal(await has(parts.paths.node), false);
  });

  it('a node that cannot be closed in order leaves all the same', async () => {
    const membership = await started();
    await init(membership);
    const { state } = membership;
    assert.ok(state.kind === 'active');
    const close = state.close.bind(state);
    state.close = async () => {
      await close();
      throw new Error('the database is broken');
    };
    state.agent.leave = async () => {
      await state.agent.session.close();
      throw new Error('the session is broken');
    };
    assert.deepEqual(await membership.leave(true), []);
    assert.equal(membership.state.kind, 'inactive');
    assert.equal(await has(parts.paths.node), false);
  });

  it('a manager part whose end fails gives its place and its port to the next one', async () => {
    const membership = await started();
    await init(membership);
    const { state } = membership;
    assert.ok(state.kind === 'active' && state.manager !== undefined);
    const role = state.manager;
    const close = role.close.bind(role);
    role.close = async () => {
      await close();
      throw new Error('the log is broken');
    };
    await assert.rejects(state.stopManager(), /the log is broken/);
    assert.equal(state.managerPart, undefined);
    state.startManager();
    await serves(membership);
    assert.notEqual(state.manager, role);
  });

  it('a join that fails after this host has become a member goes on', async () => {
    const other = join(directory, 'other');
    await mkdir(other);
    const manager = new Membership(await hostParts(other), new IdentityStore(other));
    const { workerToken } = await init(manager);
    try {
      const store = new IdentityStore(directory);
      store.removeFormer = async () => {
        throw new Error('the disk is broken');
      };
      const membership = await started({}, store);
      const request = JoinSwarmRequest.create({ token: workerToken, remoteAddresses: [address] });
      const { identity } = await membership.join(request);
      assert.equal(identity.identity.role, 'worker');
      assert.equal(membership.state.kind, 'active');
      await membership.leave(false);
    } finally {
      await manager.close();
    }
  });

  it('the end of the daemon does not wait for the certificate of another role', async () => {
    const other = join(directory, 'other');
    await mkdir(other);
    const manager = new Membership(await hostParts(other), new IdentityStore(other));
    const { workerToken } = await init(manager);
    const silent = createServer();
    try {
      const membership = await started();
      await membership.join(JoinSwarmRequest.create({ token: workerToken, remoteAddresses: [address] }));
      const { state } = membership;
      assert.ok(state.kind === 'active');
      const asked = once(silent, 'connection');
      silent.listen(0, HOST);
      await once(silent, 'listening');
      state.otherManagers = () => [`${HOST}:${(silent.address() as AddressInfo).port}`];
      await manager.manager().store.update((transaction) => {
        const node = transaction.view.get('node', state.identity.identity.nodeId);
        assert.ok(node?.spec);
        const spec = { ...node.spec, desiredRole: NodeRole.MANAGER };
        transaction.update('node', { ...node, role: NodeRole.MANAGER, spec });
      });
      const [connection] = (await withDeadline(asked, 10_000, 'a manager to be asked')) as [Socket];
      await withDeadline(membership.close(), 3_000, 'the membership to be closed');
      connection.destroy();
    } finally {
      silent.close();
      await manager.close();
    }
  });

  it('who asks again while it is held up finishes it', async () => {
    const membership = await started({ forgetRetry: { baseMs: 60_000, maxMs: 60_000, factor: 1, jitter: 0 } });
    const { nodeId } = await init(membership);
    faults = 1;
    await failure(membership.leave(true));
    assert.equal(membership.state.kind, 'leaving');
    assert.deepEqual(await membership.leave(true), []);
    assert.equal(membership.state.kind, 'inactive');
    assert.equal(membership.departure?.nodeId, nodeId);
  });

  it('a host without an identity has no log and no tasks of another life', async () => {
    const { paths } = parts;
    await mkdir(paths.log, { recursive: true });
    await writeFile(join(paths.log, '0.wal'), 'of another swarm');
    for (const path of [paths.dataKey, paths.database, `${paths.database}-wal`]) await writeFile(path, 'left');
    const membership = await started();
    assert.equal(membership.state.kind, 'inactive');
    for (const path of [paths.log, paths.dataKey, paths.database, `${paths.database}-wal`])
      assert.equal(await has(path), false, path);
  });

  it('a join that fails does not hide why this host is in no swarm', async () => {
    const note = { format: 1, phase: 'left', nodeId: 'n1', removed: true, message: 'removed', atMs: 1, warnings: [] };
    await writeFile(parts.paths.departure, JSON.stringify(note));
    const membership = await started();
    await failure(membership.join(JoinSwarmRequest.create({ token: 'none', remoteAddresses: [address] })));
    assert.equal(membership.departure?.nodeId, 'n1');
    assert.equal((await started()).departure?.nodeId, 'n1');
  });

  it('who is in a swarm has no note of having left one', async () => {
    const note = { format: 1, phase: 'left', nodeId: 'n1', removed: true, message: 'removed', atMs: 1, warnings: [] };
    await writeFile(parts.paths.departure, JSON.stringify(note));
    const membership = await started();
    await init(membership);
    assert.equal(await has(parts.paths.departure), false);
    assert.equal(membership.departure, undefined);
  });
});
