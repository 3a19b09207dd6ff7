/**
 * Goal: a certificate is replaced under open connections, and nobody notices. Method: three managers on loopback with the
 * real certificate authority, TLS and dispatcher, and an agent that has joined them; streams between managers; calls
 * whose server writes down which certificate they came with.
 */
import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  dialCa,
  IDENTITY_CONFIG,
  IdentityStore,
  joinCluster,
  type LoadedIdentity,
  RENEWAL_CONFIG,
  type RenewalConfig,
} from '#agent/identity/index.ts';
import { SESSION_DEFAULTS, Session } from '#agent/session/index.ts';
import { silentLogger } from '#common/log.ts';
import { SeededRandom } from '#common/random.ts';
import { systemClock } from '#common/system/clock.ts';
import { withDeadline } from '#common/system/deadline.ts';
import { HealthService } from '#gen/swarm/v1/health.ts';
import { IssuanceState, NodeCertificate as Issued, NodeDescription } from '#gen/swarm/v1/objects.ts';
import { NodeAvailability } from '#gen/swarm/v1/specs.ts';
import { createClient } from '#proto/grpc/client.ts';
import { ManagerConnections } from '#src/swarmd/manager-connections.ts';
import { NodeCertificate } from '#src/swarmd/node-certificate.ts';
import { NodeIdentity } from '#src/swarmd/node-identity.ts';
import { RenewingTransport } from '#src/swarmd/renewing-transport.ts';
import { type TestNode, testAuthority, testNode } from '#test/certs/fixtures.ts';
import { must } from '#test/certs/rejects.ts';
import { testStreams } from '#test/manager/raft/transport/streams.ts';
import { TlsServer, untilAborted } from '#test/proto/grpc/tls-server.ts';
import { eventually } from '#test/support/eventually.ts';
import { failure } from '#test/support/failure.ts';
import { ThreeManagers } from './support/three-managers.ts';

const WAIT_MS = 20_000;
const PATIENT = { timeoutMs: WAIT_MS };

/** What of a node has to do with its certificate, as the daemon puts it together. */
class Agent {
  readonly store: IdentityStore;
  readonly identity: NodeIdentity;
  readonly session: Session;
  readonly certificate: NodeCertificate;
  /** Every certificate that was in use, and every root set. */
  readonly used: LoadedIdentity[];
  moves = 0;
  readonly #connections: ManagerConnections;
  #turn: Promise<unknown> = Promise.resolve();

  constructor(store: IdentityStore, loaded: LoadedIdentity, addresses: readonly string[], config: RenewalConfig) {
    this.store = store;
    this.used = [loaded];
    this.identity = new NodeIdentity(loaded);
    this.#connections = new ManagerConnections(loaded, this.identity.tls);
    const [clock, random, logger] = [systemClock, new SeededRandom(1), silentLogger];
    this.certificate = new NodeCertificate({
      parts: { clock, random, logger },
      config,
      store,
      current: () => this.identity.current,
      replace: (next) => this.#replace(next),
      turn: (run) => {
        const turn = this.#turn.then(run);
        this.#turn = turn.catch(() => {});
        return turn;
      },
      managers: () => ({ own: undefined, others: addresses }),
      dial: dialCa,
      session: () => {
        const { session } = this;
        const reopen = (): void => {
          this.moves++;
          session.reopen();
        };
        return { link: session.link, reopen };
      },
    });
    this.session = new Session({
      dial: (address) => {
        this.certificate.sessionOpens('elsewhere');
        return this.#connections.session(address);
      },
      managers: () => addresses,
      addressOf: ({ address }) => address,
      describe: async () => ({ ...NodeDescription.create(), tls: this.certificate.described() }),
      advertiseAddress: () => '192.0.2.1',
      statuses: () => [],
      apply: async () => {},
      onManagers: () => {},
      onNode: (node) => this.certificate.nodeTold(node),
      onTrustedRoots: (pem) => this.certificate.rootsTold(pem),
      onCertExpiry: (expiryMs) => this.certificate.lifetimeTold(expiryMs),
      onNetworks: () => {},
      onEstablished: () => {},
      onRemoved: () => {},
      clock,
      random,
      logger,
      config: SESSION_DEFAULTS,
    });
  }

  #replace(next: LoadedIdentity): void {
    this.identity.replace(next);
    this.used.push(next);
    this.certificate.replaced();
    this.session.redescribe().catch(() => {});
  }

  async close(): Promise<void> {
    this.certificate.close();
    await this.session.close();
    this.#connections.close();
    await this.#turn;
  }
}

describe('a certificate that is replaced while it is in use', function () {
  this.timeout(60_000);
  let swarm: ThreeManagers;
  let directory: string;
  let agent: Agent | undefined;

  async function joined(config: RenewalConfig): Promise<Agent> {
    const store = new IdentityStore(directory);
    const addresses = swarm.managers.map(({ log }) => log.address);
    await joinCluster({
      store,
      token: must(swarm.cluster.rootCa?.joinTokens).worker,
      managers: addresses,
      hostname: 'web-1',
      availability: NodeAvailability.ACTIVE,
      addresses: { listen: '', advertise: '', dataPath: '' },
      newIdentity: false,
      dial: dialCa,
      clock: systemClock,
      random: new SeededRandom(2),
      logger: silentLogger,
      config: IDENTITY_CONFIG,
    });
    agent = new Agent(store, must(await store.load(Date.now())), addresses, config);
    agent.certificate.start();
    agent.session.start();
    const { session } = agent;
    await eventually('a session', () => session.connected, PATIENT);
    return agent;
  }

  const nodeOf = ({ identity }: Agent) => must(swarm.a.store.view().get('node', identity.nodeId));

  /** Has the agent asked for another certificate, as the rotation of a root does. */
  async function rotate(one: Agent): Promise<void> {
    const node = nodeOf(one);
    const certificate = { ...(node.certificate ?? Issued.create()), state: IssuanceState.ROTATE };
    await swarm.a.store.commit([{ kind: 'update', table: 'node', object: { ...node, certificate } }]);
  }

  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'starling-hot-'));
    swarm = await ThreeManagers.start();
  });
  afterEach(async () => {
    await agent?.close();
    agent = undefined;
    await swarm.close();
    await rm(directory, { recursive: true });
  });

  it('renews through any manager; the session lives on, and managers hear of the new one in it', async () => {
    const one = await joined(RENEWAL_CONFIG);
    const [link, before] = [must(one.session.link), one.identity.current.identity.serial];
    await eventually('managers to know it', () => nodeOf(one).description?.tls?.serial === before, PATIENT);
    await rotate(one);
    await eventually('another certificate', () => one.identity.current.identity.serial !== before, PATIENT);
    const { serial } = one.identity.current.identity;
    await eventually('managers to know the new one', () => nodeOf(one).description?.tls?.serial === serial, PATIENT);
    assert.equal(nodeOf(one).certificate?.state, IssuanceState.ISSUED);
    assert.equal(link.ended.aborted, false, 'the session is the one of before');
    assert.equal(one.used.length, 2, 'once');
    assert.equal((await must(one.store).load(Date.now()))?.identity.serial, serial, 'and on disk');
    assert.equal(one.certificate.info().failures, 0);
    assert.equal(one.certificate.warning(), undefined);
  });

  it('moves the session to a connection of the new certificate before the old one ends', async () => {
    const one = await joined({ ...RENEWAL_CONFIG, moveEarliest: 1e-8, moveLatest: 2e-8 });
    const { ended } = must(one.session.link);
    await rotate(one);
    await withDeadline(new Promise((resolve) => ended.addEventListener('abort', resolve)), WAIT_MS, 'the move');
    await eventually('the next session', () => one.session.connected, PATIENT);
    assert.deepEqual([one.moves, one.used.length], [1, 2]);
    const { serial } = one.identity.current.identity;
    await eventually('managers to know it', () => nodeOf(one).description?.tls?.serial === serial, PATIENT);
  });

  it('is renewed when new ones are to hold shorter, as agents hear with their heartbeats', async () => {
    const one = await joined({ ...RENEWAL_CONFIG, shortenedSpreadMs: 1 });
    const cluster = must(swarm.a.store.view().cluster());
    const spec = { ...must(cluster.spec), ca: { nodeCertExpiryMs: 3_600_000, externalCas: [] } };
    await swarm.a.store.commit([{ kind: 'update', table: 'cluster', object: { ...cluster, spec } }]);
    await eventually('another certificate', () => one.used.length === 2, PATIENT);
    const leftMs = one.identity.current.identity.notAfterMs - Date.now();
    assert.ok(leftMs <= 3_600_000 && leftMs > 3_000_000, `${leftMs}`);
  });

  it('warns when it cannot be renewed and its end is near, and says how to go on when it has ended', async () => {
    const one = await joined(RENEWAL_CONFIG);
    for (const manager of swarm.managers) await manager.close();
    await rotateAlone(one);
    await eventually('a failed attempt', () => one.certificate.info().failures > 0, PATIENT);
    assert.equal(one.certificate.warning(), undefined, 'there are 90 days yet');
    const { identity } = one.identity.current;
    one.identity.replace({ ...one.identity.current, identity: { ...identity, notAfterMs: Date.now() + 60_000 } });
    assert.match(must(one.certificate.warning()), /holds only until .*could not be renewed: .*reaches a manager/);
    assert.match(one.certificate.info().problem, /./);
  });

  /** The managers are gone; the node has heard before that its certificate is to be replaced. */
  async function rotateAlone(one: Agent): Promise<void> {
    const certificate = Issued.create({ state: IssuanceState.ROTATE, certificatePem: Buffer.from('x') });
    one.certificate.nodeTold({ ...nodeOf(one), certificate });
  }
});

describe('calls of a node whose certificate was replaced', () => {
  const authority = testAuthority();
  const server = new TlsServer(testNode(authority, 'manager'));
  let first: TestNode;
  let second: TestNode;
  let shown: TestNode;
  let transport: RenewingTransport;

  before(() => server.listen());
  after(() => server.close());
  beforeEach(() => {
    server.reset();
    first = testNode(authority, 'worker', { lifetimeMs: 60_000 });
    second = testNode(authority, 'worker');
    shown = first;
    const expect = { role: 'manager' } as const;
    transport = new RenewingTransport(server.address, { kind: 'member', identity: () => shown, expect });
  });
  afterEach(() => transport.close());

  const check = () => failure(createClient(HealthService, transport).check({}));
  const callers = (): readonly string[] =>
    server.handled.map(({ caller }) => (caller.kind === 'node' ? caller.nodeId : caller.kind));

  /** A stream that stays open; resolves with its end. */
  async function openStream(): Promise<{ readonly end: Promise<unknown> }> {
    const reached = Promise.withResolvers<void>();
    server.answer = (context) => {
      reached.resolve();
      return untilAborted(context);
    };
    const call = transport.open('/swarm.v1.DispatcherService/Session', { timeoutMs: undefined });
    const end = failure(call.messages.next());
    await withDeadline(reached.promise, WAIT_MS, 'the stream');
    server.answer = undefined;
    return { end };
  }

  it('go over one connection as long as it is the same', async () => {
    await check();
    await check();
    assert.deepEqual(callers(), [first.identity.nodeId, first.identity.nodeId]);
  });

  it('show the new one at once, while a stream goes on with the one that it was opened with', async () => {
    const { end } = await openStream();
    shown = second;
    await check();
    assert.deepEqual(callers(), [second.identity.nodeId]);
    server.rpc.endExpired(Date.now());
    await check();
    assert.equal(server.rpc.callsInFlight, 1, 'the stream is open');
    // Its certificate ends: so does the stream, and no other.
    server.rpc.endExpired(Date.now() + 61_000);
    assert.equal(((await withDeadline(end, WAIT_MS, 'the end of the stream')) as { reason: string }).reason, 'expired');
    await check();
    assert.deepEqual(
      callers(),
      [1, 2, 3].map(() => second.identity.nodeId),
    );
  });

  it('end with the connection when it is closed, those of before too', async () => {
    const old = await openStream();
    shown = second;
    const young = await openStream();
    transport.close();
    for (const { end } of [old, young]) await withDeadline(end, WAIT_MS, 'the end of the stream');
  });
});

describe('streams between managers whose certificates are replaced', () => {
  const { pair, arrives } = testStreams();

  it('live on, and come back at once with the new certificate when the old one has ended', async () => {
    const [one, two] = await pair();
    const before = one.hellos.length;
    one.renewCertificate();
    two.renewCertificate();
    await arrives(one, two);
    await arrives(two, one);
    assert.equal(one.hellos.length, before, 'nobody had to say hello again');
    assert.deepEqual([one.told, two.told], [[], []]);
    for (const manager of [one, two]) manager.endExpired(Date.now() + 91 * 24 * 60 * 60 * 1000);
    await one.happenings.until('the loss', () => one.timesTold('unreachable 2') === 1);
    await two.happenings.until('the loss', () => two.timesTold('unreachable 1') === 1);
    await one.connectedTo(2);
    await two.connectedTo(1);
    await arrives(one, two);
    await arrives(two, one);
    assert.ok(one.hellos.length > before);
    assert.deepEqual(one.told, ['unreachable 2'], 'lost, not gone');
  });
});
