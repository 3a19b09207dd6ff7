/**
 * Goal: every manager answers for the whole cluster: writes, reads, watches, logs, certificates and sessions, wherever
 * the leader is. Method: three managers with all of their API on loopback, with real certificates and connections, on a
 * log that is shared within the process and whose followers lag as far as they may.
 */
import assert from 'node:assert/strict';
import type { LoadedIdentity } from '#agent/identity/index.ts';
import { SESSION_DEFAULTS, Session } from '#agent/session/index.ts';
import { createCertificateRequest } from '#certs/certificate-request.ts';
import { generateKeyPair } from '#certs/key.ts';
import { privateKeyPem } from '#certs/key-file.ts';
import type { TlsIdentity } from '#certs/tls.ts';
import { SwarmError } from '#common/errors.ts';
import { silentLogger } from '#common/log.ts';
import { SeededRandom } from '#common/random.ts';
import { systemClock } from '#common/system/clock.ts';
import { withDeadline } from '#common/system/deadline.ts';
import { CertificateAuthorityService } from '#gen/swarm/v1/ca.ts';
import { ControlService } from '#gen/swarm/v1/control.ts';
import { AgentHello, DispatcherService, SessionEndReason, type SessionResponse } from '#gen/swarm/v1/dispatcher.ts';
import { LogBrokerService, LogOptions, LogSelector, LogsService, PublishLogsRequest } from '#gen/swarm/v1/logs.ts';
import {
  type Cluster,
  IssuanceState,
  NodeDescription,
  NodeState,
  Task,
  TaskState,
  TaskStatus,
} from '#gen/swarm/v1/objects.ts';
import { ContainerSpec, NodeAvailability, ServiceSpec, TaskSpec } from '#gen/swarm/v1/specs.ts';
import { WatchService } from '#gen/swarm/v1/watch.ts';
import { bootstrapCluster, managerOfRestored } from '#manager/ca/index.ts';
import type { LogBroker } from '#manager/logbroker/index.ts';
import { createClient } from '#proto/grpc/client.ts';
import { openLocalSession } from '#src/swarmd/local-manager.ts';
import { ManagerConnections } from '#src/swarmd/manager-connections.ts';
import { eventually } from '#test/support/eventually.ts';
import { ManagerOnLoopback } from './support/manager-on-loopback.ts';
import { SharedLog } from './support/shared-log.ts';

const WAIT_MS = 5_000;

async function failure(work: Promise<unknown>): Promise<SwarmError> {
  const error: unknown = await withDeadline(work, WAIT_MS, 'the call to fail').then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  assert.ok(error instanceof SwarmError, String(error));
  return error;
}

function spec(name: string): ServiceSpec {
  const container = ContainerSpec.create({ image: 'localhost/app:1' });
  const task = TaskSpec.create({ container });
  return ServiceSpec.create({ name, mode: { kind: 'replicated', value: { replicas: 1 } }, task });
}

describe('any manager', () => {
  let shared: SharedLog;
  let managers: ManagerOnLoopback[];
  let identities: TlsIdentity[];
  let cluster: Cluster;
  let [a, b, c]: ManagerOnLoopback[] = [];
  /** A fourth manager's certificate, for calling. */
  let caller: TlsIdentity;
  let callerId: string;

  beforeEach(async () => {
    shared = new SharedLog();
    const nowMs = Date.now();
    const first = bootstrapCluster({
      nowMs,
      random: new SeededRandom(3),
      hostname: 'host-0',
      availability: NodeAvailability.ACTIVE,
      featureLevel: 1,
    });
    cluster = first.cluster;
    const others = [1, 2, 3].map((number) =>
      managerOfRestored(cluster, { nowMs, hostname: `host-${number}`, availability: NodeAvailability.ACTIVE }),
    );
    const all = [first, ...others];
    identities = all.map(({ identity }) => ({
      certificatePem: identity.certificatePem,
      privateKeyPem: privateKeyPem(identity.keys.privateKey),
      rootsPem: identity.rootPem,
    }));
    managers = all
      .slice(0, 3)
      .map(({ node }, index) => new ManagerOnLoopback(shared, node.id, cluster.id, identities[index] as TlsIdentity));
    [a, b, c] = managers;
    caller = identities[3] as TlsIdentity;
    callerId = all[3]?.node.id ?? '';
    for (const manager of managers) await manager.start();
    elect(a);
    await at(a).store.commit([
      { kind: 'create', table: 'cluster', object: cluster },
      ...all.map(({ node }) => ({ kind: 'create', table: 'node', object: node }) as const),
    ]);
    // A manager serves once it has caught up.
    for (const { log } of managers) log.catchUp();
  });

  afterEach(async () => {
    await Promise.all(managers.map((manager) => manager.close()));
  });

  function at(manager: ManagerOnLoopback | undefined): ManagerOnLoopback {
    assert.ok(manager);
    return manager;
  }

  function elect(manager: ManagerOnLoopback | undefined): void {
    shared.elect(manager?.log);
  }

  const control = (manager: ManagerOnLoopback | undefined) => createClient(ControlService, at(manager).connect(caller));

  it('takes writes and brings them to the leader, as a write of its own caller', async () => {
    const { service } = await control(b).createService({ spec: spec('web') });
    assert.equal(
      at(a)
        .store.view()
        .revision(service?.id ?? '', 1)?.createdBy,
      callerId,
    );
    assert.ok(at(a).seen.includes(`CreateService ${callerId}`), at(a).seen.join());
    elect(c);
    await control(b).removeService({ reference: 'web' });
    assert.equal(at(c).store.view().serviceByName('web')?.pendingDelete, true);
  });

  it('shows what another one has acknowledged', async () => {
    for (const [index, writer] of managers.entries()) {
      const name = `service-${index}`;
      await control(writer).createService({ spec: spec(name) });
      for (const reader of managers) {
        const { service } = await control(reader).getService({ reference: name });
        assert.equal(service?.spec?.name, name);
        const pages = [];
        for await (const page of control(reader).listServices({})) pages.push(...page.services);
        assert.equal(pages.length, index + 1);
      }
    }
  });

  it('carries refusals back as they were', async () => {
    await control(b).createService({ spec: spec('web') });
    const error = await failure(control(b).createService({ spec: spec('web') }));
    assert.deepEqual([error.code, error.reason], ['exists', 'duplicate-name']);
  });

  it('says so when nobody leads, for writes and for reads', async () => {
    elect(undefined);
    assert.equal((await failure(control(b).createService({ spec: spec('web') }))).reason, 'no-quorum');
    assert.equal((await failure(control(b).getCluster({}))).reason, 'no-quorum');
    assert.equal((await failure(control(b).listServices({}).next())).reason, 'no-quorum');
  });

  it('loses no write when the lead moves under a load, and makes none twice', async () => {
    const writers = managers.map((manager) => control(manager));
    let moves = 0;
    // In the middle of a write, while the other writers' are anywhere between their caller and the leader.
    shared.onEntry = (count) => {
      if (count % 4 === 0) elect(managers[moves++ % 3]);
    };
    const writing = writers.map(async (client, writer) => {
      for (let count = 0; count < 20; count++) await client.createService({ spec: spec(`s-${writer}-${count}`) });
    });
    await withDeadline(Promise.all(writing), 20_000, 'all writes');
    assert.ok(moves >= 15, `${moves} moves`);
    const names: string[] = [];
    for await (const { services } of control(c).listServices({}))
      names.push(...services.map(({ service }) => service?.spec?.name ?? ''));
    assert.equal(names.length, 60);
    assert.equal(new Set(names).size, 60);
  });

  it('means itself by `self`, also where the leader answers', async () => {
    const { node } = await control(b).getNode({ reference: 'self' });
    assert.equal(node?.id, at(b).nodeId);
    const error = await failure(control(b).removeNode({ reference: 'self', force: true }));
    assert.ok(error.message.includes(at(b).nodeId), error.message);
  });

  it('shows who leads and who can be reached, as it sees it', async () => {
    at(c).log.reachable = false;
    const statuses = new Map<string, string>();
    for await (const { nodes } of control(b).listNodes({}))
      for (const { id, managerStatus: status } of nodes)
        statuses.set(id, status === undefined ? '' : `${status.leader} ${status.reachable} ${status.address}`);
    assert.deepEqual(
      [...managers.map(({ nodeId }) => nodeId), callerId].map((id) => statuses.get(id)),
      [`true true ${at(a).log.address}`, `false true ${at(b).log.address}`, `false false ${at(c).log.address}`, ''],
    );
  });

  it('goes on with a watch that began at another one, without a gap', async () => {
    const { service } = await control(a).createService({ spec: spec('one') });
    const version = service?.version ?? 0;
    await control(a).createService({ spec: spec('two') });
    // Nothing of it is applied there yet.
    const watch = createClient(WatchService, at(c).connect(caller)).watch({ resumeAfter: version });
    const seen: string[] = [];
    for await (const { message } of watch) {
      if (message?.kind === 'started') elect(b);
      if (message?.kind !== 'events') continue;
      for (const { object } of message.value.events)
        if (object?.object?.kind === 'service') seen.push(object.object.value.spec?.name ?? '');
      if (seen.length === 1) {
        await control(b).createService({ spec: spec('three') });
        at(c).log.catchUp();
      } else break;
    }
    assert.deepEqual(seen, ['two', 'three']);
  });

  it('lets a node join, and renew its certificate', async () => {
    const keys = generateKeyPair();
    const csrPem = Buffer.from(createCertificateRequest(keys));
    const token = cluster.rootCa?.joinTokens?.worker ?? '';
    const joining = createClient(CertificateAuthorityService, at(b).connect(undefined));
    const { certificatePem: rootPem } = await joining.getRootCertificate({});
    const text = (bytes: Uint8Array | undefined): string => Buffer.from(bytes ?? []).toString();
    assert.equal(text(rootPem), text(cluster.rootCa?.certificatePem));
    const { nodeId } = await joining.issueNodeCertificate({ csrPem, token, hostname: 'new', availability: 1 });
    assert.ok(at(a).seen.includes('IssueNodeCertificate anonymous'), at(a).seen.join());
    // Through yet another manager, which has not heard of the node.
    const status = await createClient(CertificateAuthorityService, at(c).connect(undefined)).getNodeCertificateStatus({
      nodeId,
    });
    assert.equal(status.state, IssuanceState.ISSUED);
    assert.deepEqual([...status.managerAddresses].sort(), managers.map(({ log }) => log.address).sort());
    const identity: TlsIdentity = {
      certificatePem: text(status.certificatePem),
      privateKeyPem: privateKeyPem(keys.privateKey),
      rootsPem: text(rootPem),
    };
    const member = createClient(CertificateAuthorityService, at(c).connect(identity));
    assert.equal((await member.issueNodeCertificate({ csrPem })).nodeId, nodeId);
    assert.ok(at(a).seen.includes(`IssueNodeCertificate ${nodeId}`));
    const bad = await failure(joining.issueNodeCertificate({ csrPem, token: token.replace(/.$/, '!') }));
    assert.equal(bad.reason, 'bad-token');
  });

  describe('for agents', () => {
    /** Says hello and gives what comes back until the stream ends or the agent is welcomed. */
    async function hello(manager: ManagerOnLoopback | undefined): Promise<readonly SessionResponse[]> {
      const call = createClient(DispatcherService, at(manager).connect(caller)).session();
      await call.write({ message: { kind: 'hello', value: AgentHello.create() } });
      const responses: SessionResponse[] = [];
      for await (const response of call) {
        responses.push(response);
        if (response.message?.kind === 'welcome') break;
      }
      call.cancel();
      return responses;
    }

    function endOf(responses: readonly SessionResponse[]) {
      const last = responses.at(-1)?.message;
      assert.ok(last?.kind === 'end', last?.kind);
      return last.value;
    }

    it('opens a session when it leads, and names the managers', async () => {
      const [response] = await hello(a);
      assert.ok(response?.message?.kind === 'welcome');
      assert.deepEqual(response.message.value.managers?.managers, at(a).managers());
    });

    it('sends the agent to the leader', async () => {
      const responses = await hello(b);
      const { reason, leader } = endOf(responses);
      assert.equal(reason, SessionEndReason.NOT_LEADER);
      assert.deepEqual(leader, { nodeId: at(a).nodeId, address: at(a).log.address });
      const [first] = responses;
      assert.ok(first?.message?.kind === 'managers');
      assert.equal(first.message.value.managers.length, 3);
    });

    /** Resolves when a call waits at the manager for a leader. */
    function asksForLeader(manager: ManagerOnLoopback | undefined): Promise<void> {
      const { watch } = at(manager).leaderCalls;
      const { promise, resolve } = Promise.withResolvers<void>();
      const leaderUntil = watch.leaderUntil.bind(watch);
      watch.leaderUntil = (...options) => {
        const leader = leaderUntil(...options);
        resolve();
        return leader;
      };
      return promise;
    }

    it('keeps the agent waiting while there is an election', async () => {
      elect(undefined);
      const asked = asksForLeader(b);
      const waiting = hello(b);
      await withDeadline(asked, WAIT_MS, 'the agent to wait');
      elect(c);
      assert.equal(endOf(await waiting).leader?.nodeId, at(c).nodeId);
      elect(undefined);
      const askedAgain = asksForLeader(b);
      const lucky = hello(b);
      await withDeadline(askedAgain, WAIT_MS, 'the agent to wait again');
      elect(b);
      assert.equal((await lucky)[0]?.message?.kind, 'welcome');
    });

    it('does the same for the agent in its own process', async () => {
      const stream = openLocalSession(() => at(b), at(b).nodeId);
      stream.send({ message: { kind: 'hello', value: AgentHello.create() } });
      const responses: SessionResponse[] = [];
      for await (const response of stream.responses) responses.push(response);
      assert.equal(endOf(responses).leader?.nodeId, at(a).nodeId);
      const own = openLocalSession(() => at(a), at(a).nodeId);
      own.send({ message: { kind: 'hello', value: AgentHello.create() } });
      // Before the session is there: not lost.
      own.send({ message: { kind: 'heartbeat', value: {} } });
      const kinds: string[] = [];
      for await (const { message } of own.responses) {
        kinds.push(message?.kind ?? '');
        if (message?.kind === 'heartbeatAck') break;
      }
      assert.deepEqual([kinds[0], kinds.at(-1)], ['welcome', 'heartbeatAck']);
      own.close();
      assert.equal(at(a).dispatcher.sessionCount, 0);
    });

    it('tells agents of the managers when they change, and only then', async () => {
      const call = createClient(DispatcherService, at(a).connect(caller)).session();
      await call.write({ message: { kind: 'hello', value: AgentHello.create() } });
      const lists: number[] = [];
      for await (const { message } of call) {
        if (message?.kind === 'managers') {
          lists.push(message.value.managers.length);
          break;
        }
        if (message?.kind !== 'assignments') continue;
        at(a).dispatcher.managersChanged();
        at(c).log.address = '192.0.2.3:2377';
        at(a).dispatcher.managersChanged();
        at(a).dispatcher.managersChanged();
      }
      call.cancel();
      assert.deepEqual(lists, [3]);
    });

    it('is followed by an agent from leader to leader, whatever becomes of the last one', async () => {
      const connections = new ManagerConnections(
        { identity: { clusterId: cluster.id } } as LoadedIdentity,
        () => caller,
      );
      const session = new Session({
        dial: (address) => connections.session(address),
        managers: () => [b, c, a].map((manager) => at(manager).log.address),
        addressOf: ({ address }) => address,
        describe: async () => NodeDescription.create({ hostname: 'agent' }),
        advertiseAddress: () => '',
        statuses: () => [],
        apply: async () => {},
        onManagers: () => {},
        onNode: () => {},
        onEstablished: () => {},
        onRemoved: (message) => assert.fail(message),
        clock: systemClock,
        random: new SeededRandom(1),
        logger: silentLogger,
        config: SESSION_DEFAULTS,
      });
      const withLeader = (manager: ManagerOnLoopback | undefined): Promise<void> =>
        eventually(
          () => `a session with the leader: ${session.link?.address}, ${session.lastError?.message}`,
          () => session.link?.address === at(manager).log.address,
          { timeoutMs: 2_000 },
        );
      session.start();
      try {
        await withLeader(a);
        for (const next of [b, c, a, c]) {
          const asked = Promise.race(managers.map(asksForLeader));
          elect(undefined);
          await withDeadline(asked, WAIT_MS, 'the agent to turn to somebody else');
          elect(next);
          await withLeader(next);
        }
        // It dies, and says nothing.
        await at(c).close();
        elect(b);
        await withLeader(b);
        assert.equal(at(b).dispatcher.sessionCount, 1);
        assert.equal(at(b).store.view().get('node', callerId)?.status?.state, NodeState.READY);
      } finally {
        await session.close();
        connections.close();
      }
    });

    it('a node that the leader does not know is told that it was removed', async () => {
      const stranger = managerOfRestored(cluster, { nowMs: Date.now(), hostname: 'x', availability: 1 });
      const identity = {
        certificatePem: stranger.identity.certificatePem,
        privateKeyPem: privateKeyPem(stranger.identity.keys.privateKey),
        rootsPem: stranger.identity.rootPem,
      };
      const open = async (manager: ManagerOnLoopback | undefined): Promise<SessionEndReason | undefined> => {
        const call = createClient(DispatcherService, at(manager).connect(identity)).session();
        await call.write({ message: { kind: 'hello', value: AgentHello.create() } });
        for await (const { message } of call) if (message?.kind === 'end') return message.value.reason;
        return undefined;
      };
      assert.equal(await open(a), SessionEndReason.NODE_REMOVED);
      // A follower may simply not have heard of it.
      assert.equal(await open(b), SessionEndReason.NOT_LEADER);
    });
  });

  describe('for logs', () => {
    const REQUEST = {
      selector: LogSelector.create({ serviceIds: ['s'] }),
      options: LogOptions.create({ follow: true, tail: -1 }),
    };

    beforeEach(async () => {
      const status = TaskStatus.create({ state: TaskState.RUNNING });
      await at(a).store.commit([
        { kind: 'create', table: 'task', object: Task.create({ id: 't', serviceId: 's', nodeId: callerId, status }) },
      ]);
    });

    /** Resolves when an agent listens at the broker. */
    function hasListener(broker: LogBroker): Promise<void> {
      const { promise, resolve } = Promise.withResolvers<void>();
      const listen = broker.listen.bind(broker);
      broker.listen = async function* (nodeId, signal) {
        const subscriptions = listen(nodeId, signal);
        const first = subscriptions.next(); // it listens from here on
        resolve();
        const { value, done } = await first;
        if (done === true) return;
        yield value;
        yield* subscriptions;
      };
      return promise;
    }

    it('brings a reader the lines that the agent sends to the leader', async () => {
      const agent = createClient(LogBrokerService, at(a).connect(caller));
      const listens = hasListener(at(a).logBroker);
      const listening = agent.listenSubscriptions({});
      const publishing = (async () => {
        const { value } = await listening.next();
        const data = Buffer.from('hello');
        const message = { taskId: 't', nodeId: callerId, serviceId: 's', timestampUs: 1, stream: 1, data } as const;
        await agent.publishLogs([
          PublishLogsRequest.create({ subscriptionId: value?.subscriptionId ?? '', messages: [message] }),
          PublishLogsRequest.create({ subscriptionId: value?.subscriptionId ?? '', done: true }),
        ]);
      })();
      // The agent listens before the reader comes.
      await withDeadline(listens, WAIT_MS, 'the agent to listen');
      const reading = createClient(LogsService, at(b).connect(caller)).subscribeLogs(REQUEST);
      let text = '';
      for await (const { messages, warnings } of reading) {
        assert.deepEqual(warnings, []);
        text += messages.map(({ data }) => Buffer.from(data).toString()).join();
        if (text !== '') break;
      }
      assert.equal(text, 'hello');
      await publishing;
    });

    it('takes lines on the leader only', async () => {
      const agent = createClient(LogBrokerService, at(b).connect(caller));
      assert.equal((await failure(agent.listenSubscriptions({}).next())).reason, 'not-leader');
      assert.equal((await failure(agent.publishLogs([]))).reason, 'not-leader');
    });
  });
});
