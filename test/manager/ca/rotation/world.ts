/** A store, a leader that rotates the root, and nodes with real certificates that do what they are told, or do not. */
import assert from 'node:assert/strict';
import { authorityKeyId, certificateDigest, issueNodeCertificate } from '#certs/authority.ts';
import { parseCertificates } from '#certs/certificate.ts';
import { createJoinToken } from '#certs/join-token.ts';
import { generateKeyPair, publicKeyDer } from '#certs/key.ts';
import { verifyChain } from '#certs/verify-chain.ts';
import { ManualClock } from '#common/clock.ts';
import { newId } from '#common/ids.ts';
import { silentLogger } from '#common/log.ts';
import { SeededRandom } from '#common/random.ts';
import {
  type Cluster,
  IssuanceState,
  Node,
  NodeCertificate,
  NodeDescription,
  NodeState,
  NodeStatus,
  NodeTls,
} from '#gen/swarm/v1/objects.ts';
import { NodeAvailability, NodeRole, NodeSpec } from '#gen/swarm/v1/specs.ts';
import { ClusterAuthority } from '#manager/ca/cluster-authority.ts';
import {
  bootstrapCluster,
  prepareRoot,
  ROTATION_CONFIG,
  RootRotator,
  type RotationConfig,
  trustedRootsPem,
  type WantedRoot,
  withRotation,
} from '#manager/ca/index.ts';
import type { Change, CommitEvents, StoreView } from '#manager/store/index.ts';
import { MemoryView } from '#test/fixtures/memory-view.ts';

export const NEW_ROOT: WantedRoot = { caCertPem: new Uint8Array(), caKeyPem: new Uint8Array(), externalCas: [] };

const NO_OUTSIDE = {
  crossSign: (): Promise<string> => Promise.reject(new Error('nobody outside is asked')),
};

/** What a host has on its disk. */
interface Host {
  chainPem: string;
  rootsPem: string;
  up: boolean;
}

export class World {
  readonly clock = new ManualClock(Date.UTC(2030, 0, 1));
  readonly hosts = new Map<string, Host>();
  readonly #view = new MemoryView();
  readonly #random: SeededRandom;
  readonly #config: RotationConfig;
  readonly #listeners = new Set<(commit: CommitEvents) => void>();
  readonly #authority = new ClusterAuthority();
  readonly #verified = new Map<string, string>();
  #leader: RootRotator | undefined;
  /** Writes fail as long as it is set. */
  broken = false;

  constructor(seed = 1, config: Partial<RotationConfig> = {}) {
    this.#random = new SeededRandom(seed);
    this.#config = { ...ROTATION_CONFIG, ...config };
    const { cluster, node, identity } = bootstrapCluster({
      nowMs: this.clock.now(),
      random: this.#random,
      hostname: 'first',
      availability: NodeAvailability.ACTIVE,
      featureLevel: 5,
    });
    this.#view.commit([
      { kind: 'create', table: 'cluster', object: cluster },
      { kind: 'create', table: 'node', object: node },
    ]);
    this.#view.onCommit((commit) => {
      for (const listener of [...this.#listeners]) listener(commit);
    });
    this.hosts.set(node.id, { chainPem: identity.certificatePem, rootsPem: identity.rootPem, up: true });
    this.describe(node.id);
    this.lead();
  }

  get view(): StoreView {
    return this.#view;
  }

  get cluster(): Cluster {
    const cluster = this.#view.cluster();
    assert.ok(cluster);
    return cluster;
  }

  get rootCa(): NonNullable<Cluster['rootCa']> {
    assert.ok(this.cluster.rootCa);
    return this.cluster.rootCa;
  }

  /** Another manager leads from now on. */
  lead(): void {
    this.#leader?.stop();
    this.#leader = new RootRotator({
      store: {
        view: () => this.#view,
        decide: async (change) => {
          await Promise.resolve();
          if (this.broken) throw new Error('no quorum');
          this.commit(change(this.#view));
        },
        onCommit: (listener) => {
          this.#listeners.add(listener);
          return () => this.#listeners.delete(listener);
        },
      },
      tokens: createJoinToken,
      clock: this.clock,
      random: this.#random,
      logger: silentLogger,
      config: this.#config,
    });
    this.#leader.start();
  }

  stop(): void {
    this.#leader?.stop();
  }

  commit(changes: readonly Change[]): void {
    if (changes.length > 0) this.#view.commit(changes);
  }

  edit(nodeId: string, change: (node: Node) => Node): void {
    const node = this.#view.get('node', nodeId);
    if (node !== undefined) this.commit([{ kind: 'update', table: 'node', object: change(node) }]);
  }

  /** Time passes, and what is due happens. */
  async pass(ms: number): Promise<void> {
    for (let gone = 0; gone < ms; gone += 50) {
      this.clock.advance(50);
      for (let turn = 0; turn < 6; turn++) await Promise.resolve();
    }
  }

  async rotate(wanted: WantedRoot = NEW_ROOT, leftBehind: readonly string[] = []): Promise<void> {
    const prepared = await prepareRoot(wanted, this.cluster, NO_OUTSIDE, this.clock.now());
    const object = withRotation(this.cluster, this.rootCa, prepared, { nowMs: this.clock.now(), leftBehind });
    this.commit([{ kind: 'update', table: 'cluster', object }]);
  }

  join(role: NodeRole = NodeRole.WORKER): string {
    const id = newId(this.#random);
    const chainPem = this.#issue(id, role);
    const certificate = this.#certificate(role, chainPem);
    const spec = NodeSpec.create({ desiredRole: role });
    const status = NodeStatus.create({ state: NodeState.UNKNOWN });
    const description = NodeDescription.create({ hostname: `host-${this.hosts.size}`, featureLevel: 5 });
    const node = Node.create({ id, role, spec, status, description, certificate });
    this.commit([{ kind: 'create', table: 'node', object: node }]);
    this.hosts.set(id, { chainPem, rootsPem: trustedRootsPem(this.rootCa), up: true });
    this.describe(id);
    return id;
  }

  remove(nodeId: string): void {
    const object = this.#view.get('node', nodeId);
    if (object !== undefined) this.commit([{ kind: 'remove', table: 'node', object }]);
    this.hosts.delete(nodeId);
  }

  setUp(nodeId: string, up: boolean): void {
    const host = this.hosts.get(nodeId);
    if (host === undefined) return;
    host.up = up;
    if (up) this.describe(nodeId);
    else this.edit(nodeId, (node) => ({ ...node, status: NodeStatus.create({ state: NodeState.DOWN }) }));
  }

  /** The node is told which roots to trust. It takes none that would not know its own certificate. */
  tell(nodeId: string): void {
    const host = this.hosts.get(nodeId);
    const offered = trustedRootsPem(this.rootCa);
    if (host?.up === true && this.problem(host.chainPem, offered) === '') host.rootsPem = offered;
  }

  /** The node asks for another certificate, if it was told to. `keeps`: it gets to keep what is issued. */
  renew(nodeId: string, keeps = true): void {
    const host = this.hosts.get(nodeId);
    const node = this.#view.get('node', nodeId);
    if (host?.up !== true || node?.certificate?.state !== IssuanceState.ROTATE) return;
    const chainPem = this.#issue(nodeId, node.role);
    this.edit(nodeId, (one) => ({ ...one, certificate: this.#certificate(one.role, chainPem) }));
    if (keeps) host.chainPem = chainPem;
  }

  /** The node says how it is. */
  describe(nodeId: string): void {
    const host = this.hosts.get(nodeId);
    if (host?.up !== true) return;
    const [leaf] = parseCertificates(host.chainPem);
    const tls = NodeTls.create({
      issuerKeyId: leaf?.authorityKeyId ?? '',
      trustedRoots: parseCertificates(host.rootsPem).map(certificateDigest),
      serial: leaf?.serial ?? '',
    });
    this.edit(nodeId, (node) => ({
      ...node,
      status: NodeStatus.create({ state: NodeState.READY }),
      description: { ...(node.description ?? NodeDescription.create()), featureLevel: 5, tls },
    }));
  }

  /** Every node that is up does at once what it should. */
  async obey(): Promise<void> {
    for (const nodeId of this.hosts.keys()) {
      this.tell(nodeId);
      this.renew(nodeId);
      this.describe(nodeId);
    }
    await this.pass(200);
  }

  /** Why who trusts the roots does not take the chain; empty when it does. */
  problem(chainPem: string, rootsPem: string): string {
    const key = `${chainPem}|${rootsPem}`;
    const known = this.#verified.get(key);
    if (known !== undefined) return known;
    const problem = verifyChain(parseCertificates(chainPem), parseCertificates(rootsPem), this.clock.now());
    this.#verified.set(key, problem?.message ?? '');
    return problem?.message ?? '';
  }

  issuerOf(nodeId: string): string {
    return parseCertificates(this.hosts.get(nodeId)?.chainPem ?? '')[0]?.authorityKeyId ?? '';
  }

  get rootKeyId(): string {
    const [root] = parseCertificates(this.rootCa.certificatePem);
    return root === undefined ? '' : authorityKeyId(root);
  }

  #issue(nodeId: string, role: NodeRole): string {
    return issueNodeCertificate(this.#authority.of(this.cluster), {
      identity: { nodeId, role: role === NodeRole.MANAGER ? 'manager' : 'worker', clusterId: this.cluster.id },
      publicKeyDer: publicKeyDer(generateKeyPair().publicKey),
      nowMs: this.clock.now(),
      lifetimeMs: 90 * 24 * 3_600_000,
    });
  }

  #certificate(role: NodeRole, chainPem: string): NodeCertificate {
    return NodeCertificate.create({ role, state: IssuanceState.ISSUED, certificatePem: Buffer.from(chainPem) });
  }
}
