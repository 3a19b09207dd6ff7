/** Nodes at every point of a rotation call each other over real TLS, and those of a root that was replaced do not. */
import assert from 'node:assert/strict';
import { type Authority, authorityKeyId, createRootAuthority, crossSign } from '#certs/authority.ts';
import { type Certificate, certificatesPem } from '#certs/certificate.ts';
import type { NodeIdentity } from '#certs/identity.ts';
import { peerIdentity } from '#certs/peer.ts';
import { NodeChannelCredentials, NodeServerCredentials, type TlsIdentity } from '#certs/tls.ts';
import { SwarmError } from '#common/errors.ts';
import { silentLogger } from '#common/log.ts';
import { CertificateAuthorityService, GetRootCertificateResponse } from '#gen/swarm/v1/ca.ts';
import { DispatcherService, SessionResponse } from '#gen/swarm/v1/dispatcher.ts';
import { Cluster, Node, RootCa } from '#gen/swarm/v1/objects.ts';
import { NodeRole } from '#gen/swarm/v1/specs.ts';
import type { StoreState } from '#manager/store/index.ts';
import { createClient } from '#proto/grpc/client.ts';
import { GrpcTransport } from '#proto/grpc/grpc-transport.ts';
import { RpcServer } from '#proto/grpc/server.ts';
import { admitNode, type JudgingAccess } from '#src/swarmd/admit-node.ts';
import { explainStranger } from '#src/swarmd/explain-stranger.ts';
import { CLUSTER_ID, identity, testNode } from '#test/certs/fixtures.ts';
import { after as afterChanges, create, EMPTY, update } from '#test/manager/store/support.ts';
import { failure } from '#test/support/failure.ts';

const nowMs = Date.now();
const [first, second, third] = [createRootAuthority(nowMs), createRootAuthority(nowMs), createRootAuthority(nowMs)];

function after(root: Authority, present: Authority): Authority {
  return { ...root, intermediates: [crossSign(present, root.certificate, nowMs)] };
}

function trusting(authority: Authority, who: NodeIdentity, ...roots: readonly Authority[]): TlsIdentity {
  const certificates: readonly Certificate[] = roots.map(({ certificate }) => certificate);
  return { ...testNode(authority, who.role, { identity: who }), rootsPem: certificatesPem(certificates) };
}

/** A manager, as far as callers are judged. */
class Manager {
  readonly credentials: NodeServerCredentials;
  readonly server: RpcServer;
  #state: StoreState;
  port = 0;
  caller = '';

  constructor(shown: TlsIdentity, nodes: readonly NodeIdentity[]) {
    this.credentials = new NodeServerCredentials(shown);
    this.#state = afterChanges(
      EMPTY,
      create('cluster', Cluster.create({ id: CLUSTER_ID, rootCa: RootCa.create() })),
      ...nodes.map(({ nodeId }) => create('node', Node.create({ id: nodeId, role: NodeRole.WORKER }))),
    );
    const judge: JudgingAccess = () => ({
      store: { view: () => this.#state },
      log: { leadership: () => ({ state: 'leader' }) },
    });
    this.server = new RpcServer({
      trust: {
        kind: 'certificate',
        identify: (call) => peerIdentity(call, Date.now()),
        clusterId: () => CLUSTER_ID,
        admit: (caller, path) => admitNode(judge, caller, path),
        explainStranger: (untrusted) => explainStranger(judge, untrusted),
      },
      logger: silentLogger,
    });
    this.server.addService(CertificateAuthorityService, {
      getRootCertificate: async (_request, { caller }) => {
        this.caller = caller.kind === 'node' ? caller.nodeId : caller.kind;
        return Promise.resolve(GetRootCertificateResponse.create());
      },
      issueNodeCertificate: () => Promise.reject(new Error('not asked')),
      getNodeCertificateStatus: () => Promise.reject(new Error('not asked')),
    });
    this.server.addService(DispatcherService, {
      session: async function* (requests) {
        for await (const _ of requests) yield SessionResponse.create();
      },
    });
  }

  async start(): Promise<this> {
    this.port = await this.server.listen('127.0.0.1:0', this.credentials);
    return this;
  }

  retire(root: Authority): void {
    const cluster = this.#state.cluster();
    assert.ok(cluster);
    const rootCa = RootCa.create({ retiredKeyIds: [authorityKeyId(root.certificate)] });
    this.#state = afterChanges(this.#state, update('cluster', { ...cluster, rootCa }));
    this.server.review(() => true);
  }

  dial(shown: TlsIdentity): GrpcTransport {
    const expect = { role: 'manager', clusterId: CLUSTER_ID } as const;
    const credentials = new NodeChannelCredentials({ kind: 'member', identity: () => shown, expect });
    return new GrpcTransport({ target: { kind: 'address', name: `127.0.0.1:${this.port}` }, credentials });
  }
}

describe('a rotation over TLS', () => {
  const manager = identity('manager');
  const worker = identity('worker');
  let server: Manager | undefined;
  const transports: GrpcTransport[] = [];

  afterEach(async () => {
    for (const transport of transports.splice(0)) transport.close();
    await server?.server.close(0);
    server = undefined;
  });

  const open = async (shown: TlsIdentity): Promise<Manager> => {
    server = await new Manager(shown, [worker]).start();
    return server;
  };
  const dial = (to: Manager, shown: TlsIdentity): GrpcTransport => {
    const transport = to.dial(shown);
    transports.push(transport);
    return transport;
  };

  it('lets every node call every other one, at whichever point each of them is', async () => {
    const [toSecond, toThird] = [after(second, first), after(third, first)];
    // The second rotation took the place of the first one, which some have followed.
    const points = (who: NodeIdentity): readonly TlsIdentity[] => [
      trusting(first, who, first),
      trusting(first, who, first, second),
      trusting(toSecond, who, first, second),
      trusting(toSecond, who, first, third),
      trusting(toThird, who, first, third),
    ];
    for (const shown of points(manager)) {
      const to = await open(shown);
      for (const [index, caller] of points(worker).entries()) {
        await createClient(CertificateAuthorityService, dial(to, caller)).getRootCertificate({}, { timeoutMs: 10_000 });
        assert.equal(to.caller, worker.nodeId, `caller ${index} is known`);
      }
      await to.server.close(0);
    }
    // At its end: all have certificates of the new root; one has not heard of the end.
    const to = await open(trusting(toThird, manager, third));
    for (const caller of [trusting(toThird, worker, first, third), trusting(third, worker, third)]) {
      await createClient(CertificateAuthorityService, dial(to, caller)).getRootCertificate({}, { timeoutMs: 10_000 });
      assert.equal(to.caller, worker.nodeId);
    }
  });

  it('ends with the former root: open connections and streams of it are refused, new ones are those of strangers', async () => {
    const toSecond = after(second, first);
    const to = await open(trusting(toSecond, manager, first, second));
    const left = trusting(first, worker, first, second);
    const transport = dial(to, left);
    const authority = createClient(CertificateAuthorityService, transport);
    await authority.getRootCertificate({}, { timeoutMs: 10_000 });
    const session = createClient(DispatcherService, transport).session({ timeoutMs: 10_000 });
    await session.write({ message: { kind: 'heartbeat', value: {} } });
    const answers = session[Symbol.asyncIterator]();
    assert.equal((await answers.next()).done, false);

    to.credentials.replace(trusting(toSecond, manager, second));
    to.retire(first);
    const ended = await failure(answers.next());
    assert.deepEqual([ended.code, ended.reason], ['unauthenticated', 'wrong-cluster']);
    assert.match(ended.message, /signed by a root of this swarm that has been replaced/);
    const again = await failure(authority.getRootCertificate({}, { timeoutMs: 10_000 }));
    assert.equal(again.reason, 'wrong-cluster', 'on the connection that was open');

    // A new connection: TLS does not verify it any more, and its error says more than that.
    const fresh = createClient(DispatcherService, dial(to, left)).session({ timeoutMs: 10_000 });
    const stranger = await failure(fresh[Symbol.asyncIterator]().next());
    assert.match(stranger.message, /has been replaced since/);
    assert.match(stranger.hint ?? '', /swarm leave --force/);
  });

  it('says nothing of other strangers, and believes nothing that they say', async () => {
    const to = await open(trusting(first, manager, first));
    const claims = trusting(third, worker, first);
    const session = createClient(DispatcherService, dial(to, claims)).session({ timeoutMs: 10_000 });
    const refused = await failure(session[Symbol.asyncIterator]().next());
    assert.ok(refused instanceof SwarmError);
    assert.doesNotMatch(refused.message, /replaced/);
    await createClient(CertificateAuthorityService, dial(to, claims)).getRootCertificate({}, { timeoutMs: 10_000 });
    assert.equal(to.caller, 'anonymous');
  });
});
