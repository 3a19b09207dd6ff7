/** Three managers that all answer for the whole cluster, and who calls them. */
import { privateKeyPem } from '#certs/key-file.ts';
import type { TlsIdentity } from '#certs/tls.ts';
import { SeededRandom } from '#common/random.ts';
import { ControlService } from '#gen/swarm/v1/control.ts';
import type { Cluster, Node } from '#gen/swarm/v1/objects.ts';
import { ContainerSpec, NodeAvailability, ServiceSpec, TaskSpec } from '#gen/swarm/v1/specs.ts';
import { bootstrapCluster, type ClusterBootstrap, type FirstManager } from '#manager/ca/index.ts';
import { createClient } from '#proto/grpc/client.ts';
import { anotherManager } from '#test/fixtures/another-manager.ts';
import { ManagerOnLoopback } from './manager-on-loopback.ts';
import { SharedLog } from './shared-log.ts';

/** Enough for whatever a test waits for on loopback, on a busy machine. */
export const WAIT_MS = 5_000;

/**
 * Managers `a`, `b` and `c` with all of their API on loopback, on a log that is shared within the process and whose
 * followers lag as far as they may. At first `a` leads.
 */
export class ThreeManagers {
  readonly shared = new SharedLog();
  readonly cluster: Cluster;
  readonly a: ManagerOnLoopback;
  readonly b: ManagerOnLoopback;
  readonly c: ManagerOnLoopback;
  readonly managers: readonly ManagerOnLoopback[];
  /** A fourth manager's certificate, for calling. */
  readonly caller: TlsIdentity;
  readonly callerId: string;
  readonly #nodes: readonly Node[];

  private constructor(
    first: ClusterBootstrap,
    [second, third, fourth]: readonly [FirstManager, FirstManager, FirstManager],
  ) {
    this.cluster = first.cluster;
    const manager = ({ node, identity }: FirstManager): ManagerOnLoopback =>
      new ManagerOnLoopback(this.shared, node.id, first.cluster.id, tlsIdentityOf(identity));
    this.a = manager(first);
    this.b = manager(second);
    this.c = manager(third);
    this.managers = [this.a, this.b, this.c];
    this.caller = tlsIdentityOf(fourth.identity);
    this.callerId = fourth.node.id;
    this.#nodes = [first, second, third, fourth].map(({ node }) => node);
  }

  static async start(): Promise<ThreeManagers> {
    const nowMs = Date.now();
    const availability = NodeAvailability.ACTIVE;
    const random = new SeededRandom(3);
    const first = bootstrapCluster({ nowMs, random, hostname: 'host-0', availability, featureLevel: 1 });
    const other = (number: number) =>
      anotherManager(first.cluster, { nowMs, hostname: `host-${number}`, availability });
    const made = new ThreeManagers(first, await Promise.all([other(1), other(2), other(3)]));
    for (const manager of made.managers) await manager.start();
    made.elect(made.a);
    await made.a.store.commit([
      { kind: 'create', table: 'cluster', object: made.cluster },
      ...made.#nodes.map((node) => ({ kind: 'create', table: 'node', object: node }) as const),
    ]);
    // A manager serves once it has caught up.
    for (const { log } of made.managers) log.catchUp();
    return made;
  }

  /** From now on it leads, or nobody. */
  readonly elect = (manager: ManagerOnLoopback | undefined): void => this.shared.elect(manager?.log);

  readonly control = (manager: ManagerOnLoopback) => createClient(ControlService, manager.connect(this.caller));

  async close(): Promise<void> {
    await Promise.all(this.managers.map((manager) => manager.close()));
  }
}

export function spec(name: string): ServiceSpec {
  const container = ContainerSpec.create({ image: 'localhost/app:1' });
  const task = TaskSpec.create({ container });
  return ServiceSpec.create({ name, mode: { kind: 'replicated', value: { replicas: 1 } }, task });
}

export function tlsIdentityOf(identity: FirstManager['identity']): TlsIdentity {
  return {
    certificatePem: identity.certificatePem,
    privateKeyPem: privateKeyPem(identity.keys.privateKey),
    rootsPem: identity.rootPem,
  };
}
