/** A swarm in memory for the tests of networks, and specs in few words. */
import assert from 'node:assert/strict';
import { SwarmError } from '#common/errors.ts';
import { silentLogger } from '#common/log.ts';
import { SeededRandom } from '#common/random.ts';
import { ListNetworksRequest } from '#gen/swarm/v1/control.ts';
import { Cluster, Network } from '#gen/swarm/v1/objects.ts';
import {
  ClusterSpec,
  ContainerSpec,
  EndpointSpec,
  IpamSpec,
  IpamSubnet,
  NetworkAttachmentSpec,
  NetworkSpec,
  PortConfig,
  ServiceSpec,
  TaskSpec,
} from '#gen/swarm/v1/specs.ts';
import { ingressNetwork } from '#manager/allocator/index.ts';
import { ControlApi } from '#manager/control/index.ts';
import { MemoryView } from '#test/fixtures/memory-view.ts';

export const caller = { author: 'test' };

/** The control API on a store in memory, with networks as the allocator sets them up. */
export class Swarm {
  readonly view = new MemoryView();
  readonly api: ControlApi;

  constructor(featureLevel = 3) {
    const cluster = Cluster.create({ id: 'c', spec: ClusterSpec.create(), featureLevel });
    this.view.commit([{ kind: 'create', table: 'cluster', object: cluster }]);
    if (featureLevel >= 3) this.put({ ...ingressNetwork('ingress0'), vni: 4096, subnets: [subnet('10.0.0.0/16')] });
    this.api = new ControlApi({
      store: { view: () => this.view, decide: async (decide) => this.view.commit(decide(this.view)) },
      selfNodeId: () => 'self',
      members: () => [],
      random: new SeededRandom(1),
      images: { resolve: async () => undefined },
      tokens: () => '',
      now: () => 1,
      logger: silentLogger,
    });
  }

  put(object: Network): void {
    this.view.commit([{ kind: 'create', table: 'network', object }]);
  }

  /** A network as the allocator has set it up. */
  async network(name: string, cidr: string, fields: Partial<NetworkSpec> = {}): Promise<Network> {
    const { network } = await this.create(name, { ipam: ipam({ subnet: cidr }), ...fields });
    assert.ok(network);
    const ready = { ...network, subnets: [subnet(cidr)] };
    this.view.commit([{ kind: 'update', table: 'network', object: ready }]);
    return ready;
  }

  create(name: string, fields: Partial<NetworkSpec> = {}) {
    return this.api.createNetwork(caller, { spec: NetworkSpec.create({ name, ...fields }) });
  }

  service(name: string, networks: readonly Partial<NetworkAttachmentSpec>[], fields: Partial<ServiceSpec> = {}) {
    return this.api.createService(caller, { spec: serviceSpec(name, networks, fields), queryRegistry: false });
  }
}

export function subnet(cidr: string): IpamSubnet {
  return IpamSubnet.create({ subnet: cidr, gateway: cidr.replace(/\.0\/\d+$/, '.1') });
}

export function ipam(...subnets: readonly Partial<IpamSubnet>[]): IpamSpec {
  return IpamSpec.create({ subnets: subnets.map((one) => IpamSubnet.create(one)) });
}

export function serviceSpec(
  name: string,
  networks: readonly Partial<NetworkAttachmentSpec>[],
  fields: Partial<ServiceSpec> = {},
): ServiceSpec {
  return ServiceSpec.create({
    name,
    mode: { kind: 'replicated', value: { replicas: 1 } },
    task: TaskSpec.create({
      container: ContainerSpec.create({ image: 'busybox' }),
      networks: networks.map((one) => NetworkAttachmentSpec.create(one)),
    }),
    ...fields,
  });
}

export function ports(...configs: readonly Partial<PortConfig>[]): { endpoint: EndpointSpec } {
  return {
    endpoint: EndpointSpec.create({ ports: configs.map((one) => PortConfig.create({ targetPort: 80, ...one })) }),
  };
}

export async function refused(work: Promise<unknown>, message: RegExp, reason?: string): Promise<void> {
  await assert.rejects(work, (thrown: unknown) => {
    const error = SwarmError.from(thrown);
    assert.match(error.message, message);
    assert.ok(error.hint !== undefined && error.hint !== '', 'says a way out');
    if (reason !== undefined) assert.equal(error.reason, reason);
    return true;
  });
}

export async function listed(swarm: Swarm, request: Partial<ListNetworksRequest>): Promise<readonly string[]> {
  const names: string[] = [];
  for await (const { networks } of swarm.api.listNetworks(caller, ListNetworksRequest.create(request)))
    names.push(...networks.map(({ spec }) => spec?.name ?? ''));
  return names.sort();
}
