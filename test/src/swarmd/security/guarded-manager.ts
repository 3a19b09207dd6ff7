/** The server that a manager has for other nodes, as the daemon makes it, and whoever wants to attack it. */
import { type Authority, issueNodeCertificate, loadAuthority } from '#certs/authority.ts';
import { certificatesPem, parseCertificate, parseCertificates } from '#certs/certificate.ts';
import { certifiedIdentity, type NodeIdentity as Names } from '#certs/identity.ts';
import { generateKeyPair, type KeyPair } from '#certs/key.ts';
import { decodeKeyFile, privateKeyPem } from '#certs/key-file.ts';
import { NodeChannelCredentials, type TlsIdentity } from '#certs/tls.ts';
import { newId } from '#common/ids.ts';
import { silentLogger } from '#common/log.ts';
import { SeededRandom } from '#common/random.ts';
import { systemClock } from '#common/system/clock.ts';
import { Node } from '#gen/swarm/v1/objects.ts';
import { NodeRole, NodeSpec } from '#gen/swarm/v1/specs.ts';
import { GrpcTransport } from '#proto/grpc/grpc-transport.ts';
import { type ClusterServer, startClusterServer } from '#src/swarmd/cluster-server.ts';
import type { ManagerRole } from '#src/swarmd/manager-role.ts';
import { watchMemberships } from '#src/swarmd/membership-watch.ts';
import { NodeIdentity } from '#src/swarmd/node-identity.ts';
import { must } from '#test/certs/rejects.ts';
import { ThreeManagers } from '../support/three-managers.ts';

const random = new SeededRandom(7);
const DAY_MS = 24 * 60 * 60 * 1000;

/** A certificate with its key, whoever has made it. */
export interface Shown extends TlsIdentity {
  readonly names: Names;
  readonly keys: KeyPair;
}

export interface Minted {
  readonly role?: Names['role'];
  readonly clusterId?: string;
  readonly nodeId?: string;
  readonly nowMs?: number;
  readonly lifetimeMs?: number;
  readonly authority?: Authority;
}

export class GuardedManager {
  readonly swarm: ThreeManagers;
  /** Whoever has it has the swarm: this test. */
  readonly authority: Authority;
  readonly rootsPem: string;
  #server: ClusterServer | undefined;
  #stopWatching: (() => void) | undefined;
  readonly #open: GrpcTransport[] = [];

  private constructor(swarm: ThreeManagers) {
    this.swarm = swarm;
    const root = must(swarm.cluster.rootCa);
    this.rootsPem = new TextDecoder().decode(root.certificatePem);
    this.authority = loadAuthority(
      must(parseCertificates(this.rootsPem)[0]),
      decodeKeyFile(root.keyPem, 'root key').privateKey,
    );
  }

  static async start(): Promise<GuardedManager> {
    const made = new GuardedManager(await ThreeManagers.start());
    await made.#listen();
    return made;
  }

  get address(): string {
    return `127.0.0.1:${must(this.#server).port}`;
  }

  get version(): number {
    return this.swarm.a.store.view().version;
  }

  async #listen(): Promise<void> {
    const { a } = this.swarm;
    const own = this.mint({ role: 'manager', nodeId: a.nodeId });
    const identity = new NodeIdentity({
      identity: certifiedIdentity(must(parseCertificates(own.certificatePem)[0])),
      tls: own,
      rootDigest: '',
      managers: [],
      addresses: { listen: '127.0.0.1:0', advertise: '', dataPath: '' },
      home: { kind: 'same', message: '' },
    });
    const guarded = Object.assign(a, { audit: { refused: () => {} } });
    const manager = (): ManagerRole => guarded as unknown as ManagerRole; // what handlers and guards need of one
    const server = await startClusterServer({ identity, manager, problem: () => undefined, logger: silentLogger });
    this.#server = server;
    this.#stopWatching = watchMemberships(
      a as unknown as Pick<ManagerRole, 'store' | 'log'>, // the same store and log as every part has
      systemClock,
      (isConcerned) => server.review(isConcerned),
    );
  }

  mint(order: Minted = {}): Shown {
    const keys = generateKeyPair();
    const names = {
      role: order.role ?? 'worker',
      nodeId: order.nodeId ?? newId(random),
      clusterId: order.clusterId ?? this.swarm.cluster.id,
    } as const;
    const certificatePem = issueNodeCertificate(order.authority ?? this.authority, {
      identity: names,
      publicKeyDer: keys.publicKey.export({ type: 'spki', format: 'der' }),
      nowMs: order.nowMs ?? Date.now(),
      lifetimeMs: order.lifetimeMs ?? 90 * DAY_MS,
    });
    const { rootsPem } = this;
    return { certificatePem, privateKeyPem: privateKeyPem(keys.privateKey), rootsPem, names, keys };
  }

  /** What a worker makes that takes itself for an authority: a leaf by its key, its own certificate in between. */
  mintedBy(worker: Shown, order: Minted): Shown {
    const certificate = must(parseCertificates(worker.certificatePem)[0]);
    const leaf = this.mint({ ...order, authority: { certificate, privateKey: worker.keys.privateKey } });
    return { ...leaf, certificatePem: leaf.certificatePem + certificatesPem([parseCertificate(certificate.der)]) };
  }

  /** The node is a member, as far as the store is concerned. */
  async admit({ names }: Shown): Promise<void> {
    const role = names.role === 'manager' ? NodeRole.MANAGER : NodeRole.WORKER;
    const object = Node.create({ id: names.nodeId, role, spec: NodeSpec.create({ desiredRole: role }) });
    await this.swarm.a.store.commit([{ kind: 'create', table: 'node', object }]);
  }

  async remove({ names }: Shown): Promise<void> {
    const { store } = this.swarm.a;
    const cluster = must(store.view().cluster());
    const nowMs = Date.now();
    const gone = { nodeId: names.nodeId, expiresAtMs: nowMs + 90 * DAY_MS, removedAtMs: nowMs };
    await store.commit([
      { kind: 'remove', table: 'node', object: must(store.view().get('node', names.nodeId)) },
      { kind: 'update', table: 'cluster', object: { ...cluster, removedNodes: [...cluster.removedNodes, gone] } },
    ]);
  }

  /** A connection that shows this certificate; none: that of a caller without one. */
  connect(shown: TlsIdentity | undefined): GrpcTransport {
    const expect = { role: 'manager' } as const;
    const transport = new GrpcTransport({
      target: { kind: 'address', name: this.address },
      credentials: new NodeChannelCredentials(
        shown === undefined
          ? { kind: 'pinned', rootsPem: this.rootsPem, expect }
          : { kind: 'member', identity: () => shown, expect },
      ),
    });
    this.#open.push(transport);
    return transport;
  }

  async close(): Promise<void> {
    this.#stopWatching?.();
    for (const transport of this.#open) transport.close();
    await this.#server?.close();
    await this.swarm.close();
  }
}
