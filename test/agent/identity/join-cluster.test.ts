/**
 * Joining over real gRPC and TLS on loopback, with the real certificate authority on the other side; interruptions are
 * made by throwing answers away and by files that are left behind.
 */
import assert from 'node:assert/strict';
import { mkdir, mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import type { AddressInfo } from 'node:net';
import { createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  dialCa,
  fetchRoot,
  IDENTITY_CONFIG,
  type IdentityConfig,
  IdentityStore,
  type JoinOptions,
  joinCluster,
  type LoadedIdentity,
} from '#agent/identity/index.ts';
import { createJoinToken, parseJoinToken } from '#certs/join-token.ts';
import type { Clock } from '#common/clock.ts';
import { SwarmError } from '#common/errors.ts';
import { systemClock } from '#common/system/clock.ts';
import { IssuanceState, NodeCertificate, RemovedNode } from '#gen/swarm/v1/objects.ts';
import { NodeAvailability, NodeRole } from '#gen/swarm/v1/specs.ts';
import { must, rejects } from '#test/certs/rejects.ts';
import { CaServer } from './ca-server.ts';

const QUICK: IdentityConfig = {
  ...IDENTITY_CONFIG,
  retryBaseMs: 1,
  retryMaxMs: 5,
  joinAttempts: 3,
  joinTimeoutMs: 8000,
};

describe('join', () => {
  let directory = '';
  let store: IdentityStore;
  const servers: CaServer[] = [];
  const sockets: Server[] = [];

  const manager = async (clockOffsetMs = 0): Promise<CaServer> => {
    const server = await new CaServer(clockOffsetMs).start();
    servers.push(server);
    return server;
  };
  const options = (server: CaServer, more: Partial<JoinOptions> = {}): JoinOptions => ({
    ...server.joinOptions(store),
    config: QUICK,
    ...more,
  });
  const loaded = async (): Promise<LoadedIdentity> => must(await store.load(Date.now()));
  /** A port on which something answers that is no manager, or nobody. */
  const port = async (onConnection: (server: Server) => void): Promise<string> => {
    const server = createServer((socket) => socket.on('error', () => {}).end('SSH-2.0-OpenSSH\r\n'));
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const address = `127.0.0.1:${(server.address() as AddressInfo).port}`;
    onConnection(server);
    sockets.push(server);
    return address;
  };
  const refusing = (): Promise<string> => port((server) => server.close());

  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'starling-join-'));
    store = new IdentityStore(directory);
  });
  afterEach(async () => {
    for (const server of servers.splice(0)) server.stop();
    for (const socket of sockets.splice(0)) socket.close();
    await rm(directory, { recursive: true });
  });

  for (const role of ['worker', 'manager'] as const)
    it(`makes a ${role}, with everything that it needs at its next start`, async () => {
      const server = await manager();
      await joinCluster(options(server, { token: server.token(role), availability: NodeAvailability.PAUSE }));
      const found = await loaded();
      assert.equal(found.identity.role, role);
      assert.equal(found.identity.clusterId, server.store.view().cluster()?.id);
      assert.equal(found.rootDigest, server.rootDigest);
      assert.deepEqual(found.addresses, { listen: '0.0.0.0:2377', advertise: '192.0.2.2', dataPath: '' });
      assert.deepEqual(
        found.managers.map((known) => known.address),
        [server.address, '192.0.2.9:2377'],
      );
      const node = server.store.view().get('node', found.identity.nodeId);
      assert.equal(node?.role, role === 'manager' ? NodeRole.MANAGER : NodeRole.WORKER);
      assert.equal(node.spec?.availability, NodeAvailability.PAUSE);
      assert.equal(node.description?.hostname, 'web-1');
      assert.deepEqual(await readdir(directory), ['node']);
    });

  it('uses the certificate that it got for mutual TLS', async () => {
    const server = await manager();
    await joinCluster(options(server));
    const { tls, identity } = await loaded();
    const connection = dialCa(server.address, { kind: 'member', identity: () => tls, expect: { role: 'manager' } });
    try {
      const request = {
        csrPem: new Uint8Array(),
        token: 'x',
        availability: 0,
        hostname: '',
        former: undefined,
      } as const;
      await assert.rejects(
        connection.issueNodeCertificate(request, 2000),
        rejects('bad-field', new RegExp(`node ${identity.nodeId} is a member already`)),
      );
    } finally {
      connection.close();
    }
  });

  it('stops at a wrong root, says so, and shows the token to nobody', async () => {
    const server = await manager();
    const other = await manager();
    await assert.rejects(
      joinCluster(options(server, { managers: [other.address, server.address] })),
      rejects('wrong-cluster', new RegExp(`manager at ${other.address} is not the one .* nothing was sent`)),
    );
    assert.deepEqual([...other.calls, ...server.calls], ['getRootCertificate']);
    assert.equal(await store.exists(), false);
  });

  it('shows the token to no server that merely copies the root certificate', async () => {
    const server = await manager();
    const posing = await manager();
    // It hands out the true root, but cannot have a certificate of it.
    posing.authority.getRootCertificate = () => server.authority.getRootCertificate();
    await assert.rejects(
      joinCluster(options(server, { managers: [posing.address] })),
      rejects('bad-certificate', /certificate of another root/),
    );
    assert.ok(!posing.calls.includes('issueNodeCertificate'));
  });

  it('passes on what the manager refuses with, at once', async () => {
    const server = await manager();
    const token = createJoinToken(server.rootDigest);
    await assert.rejects(joinCluster(options(server, { token })), (error: SwarmError) => {
      assert.equal(error.reason, 'bad-token');
      assert.match(error.message, /may have been rotated/);
      assert.match(error.hint ?? '', /join-token/);
      return true;
    });
    assert.equal(server.calls.filter((call) => call === 'issueNodeCertificate').length, 1);
    assert.equal(await store.exists(), false);
  });

  it('refuses malformed tokens and addresses before it connects anywhere', async () => {
    const server = await manager();
    await assert.rejects(joinCluster(options(server, { token: 'SWMTKN-1-x' })), rejects('bad-token', /four parts/));
    await assert.rejects(joinCluster(options(server, { managers: [] })), rejects('bad-field', /needs the address/));
    await assert.rejects(
      joinCluster(options(server, { managers: ['http://host:2377'] })),
      rejects('bad-field', /"http:\/\/host:2377" is not the address of a manager/),
    );
    assert.deepEqual(server.calls, []);
  });

  it('goes on to the next manager when one cannot be reached, and names them all when none can', async () => {
    const server = await manager();
    const [closed, ssh] = [await refusing(), await port(() => {})];
    await joinCluster(options(server, { managers: [closed, ssh, server.address] }));
    assert.equal((await loaded()).identity.role, 'worker');
    await store.remove('dropped');
    await assert.rejects(joinCluster(options(server, { managers: [closed, ssh] })), (error: SwarmError) => {
      assert.equal(error.reason, 'connection-failed');
      assert.ok(error.message.includes(closed) && error.message.includes(ssh), error.message);
      assert.match(error.message, /refused the connection.*does not speak TLS/);
      assert.match(error.hint ?? '', /2377\/tcp/);
      return true;
    });
  });

  it('waits for a manager that is busy', async () => {
    const server = await manager();
    let refusals = 2;
    server.before = (method) => {
      if (method !== 'issueNodeCertificate' || refusals-- <= 0) return;
      throw new SwarmError({ code: 'unavailable', reason: 'no-quorum', message: 'no leader' });
    };
    await joinCluster(options(server));
    assert.equal(server.calls.filter((call) => call === 'issueNodeCertificate').length, 3);
  });

  it('gives up in time when a manager does not answer', async () => {
    const server = await manager();
    server.before = () => new Promise(() => {});
    const startMs = performance.now();
    const config = { ...QUICK, joinTimeoutMs: 400, requestTimeoutMs: 300 };
    await assert.rejects(joinCluster(options(server, { config })), rejects('timeout', /could not join/));
    assert.ok(performance.now() - startMs < 3000);
  });

  it('waits for a certificate that is issued later, and says why it is not', async () => {
    const server = await manager();
    const setState = async (state: IssuanceState, error: string): Promise<void> => {
      const node = must(server.store.nodes().find((candidate) => candidate.role === NodeRole.WORKER));
      const certificate = NodeCertificate.create({ ...node.certificate, state, error });
      await server.store.commit([{ kind: 'update', table: 'node', object: { ...node, certificate } }]);
    };
    server.after = async (method) => {
      if (method === 'issueNodeCertificate') await setState(IssuanceState.PENDING, '');
    };
    let asked = 0;
    server.before = async (method) => {
      if (method === 'getNodeCertificateStatus' && ++asked === 2) await setState(IssuanceState.FAILED, 'no more paper');
    };
    await assert.rejects(joinCluster(options(server)), rejects('no-certificate', /no certificate: no more paper/));
    assert.equal(asked, 2);
  });

  it('can be run again after an interruption at any request, and makes one node', async () => {
    const server = await manager();
    const config = { ...QUICK, joinAttempts: 1 };
    for (const lost of ['getRootCertificate', 'issueNodeCertificate', 'getNodeCertificateStatus']) {
      server.after = (method) => {
        if (method === lost) throw new SwarmError({ code: 'unavailable', reason: 'connection-failed', message: 'cut' });
      };
      await assert.rejects(joinCluster(options(server, { config })), rejects('connection-failed', /cut/));
    }
    server.after = () => {};
    // A crash in the middle of the last step leaves an unfinished directory.
    await mkdir(join(directory, 'node.new', 'node.key'), { recursive: true });
    await joinCluster(options(server, { config }));
    assert.equal(server.store.nodes().length, 2);
    assert.deepEqual(await readdir(directory), ['node']);
  });

  it('takes a new key when the node of the interrupted join was removed meanwhile', async () => {
    const server = await manager();
    const config = { ...QUICK, joinAttempts: 1 };
    server.after = (method) => {
      if (method === 'issueNodeCertificate')
        throw new SwarmError({ code: 'unavailable', reason: 'connection-failed', message: 'cut' });
    };
    await assert.rejects(joinCluster(options(server, { config })));
    server.after = () => {};
    const ghost = must(server.store.nodes().find((node) => node.role === NodeRole.WORKER));
    const cluster = must(server.store.view().cluster());
    await server.store.commit([
      { kind: 'remove', table: 'node', object: ghost },
      {
        kind: 'update',
        table: 'cluster',
        object: { ...cluster, removedNodes: [RemovedNode.create({ nodeId: ghost.id })] },
      },
    ]);
    await joinCluster(options(server, { config }));
    assert.notEqual((await loaded()).identity.nodeId, ghost.id);
  });

  it('names the clocks when the certificate does not hold yet by this host’s clock', async () => {
    const threeHoursMs = 3 * 60 * 60 * 1000;
    const server = await manager();
    const slow: Clock = { ...systemClock, now: () => Date.now() - threeHoursMs };
    await assert.rejects(joinCluster(options(server, { clock: slow })), (error: SwarmError) => {
      assert.equal(error.reason, 'expired');
      assert.match(error.message, /the clock of this host is 10[78]\d\d s behind the manager's/);
      assert.match(error.hint ?? '', /set the clock/);
      return true;
    });
    assert.equal(await store.exists(), false);
  });

  it('refuses a host that is in a swarm', async () => {
    const server = await manager();
    await joinCluster(options(server));
    await assert.rejects(joinCluster(options(server)), rejects('already-in-swarm', /already part of a swarm/));
  });

  it('keeps the token out of the state directory', async () => {
    const server = await manager();
    await joinCluster(options(server));
    const secret = server.token('worker').slice(-25);
    for (const name of await readdir(join(directory, 'node')))
      assert.ok(!(await readFile(join(directory, 'node', name), 'utf8')).includes(secret), name);
  });

  it('measures the clock against the manager’s', async () => {
    const server = await manager(60_000);
    const token = parseJoinToken(server.token('worker'));
    const root = await fetchRoot(server.address, token, { dial: dialCa, clock: systemClock }, 2000);
    assert.ok(Math.abs(root.clockSkewMs + 60_000) < 2000, String(root.clockSkewMs));
    assert.equal(root.featureLevel, 1);
  });
});
