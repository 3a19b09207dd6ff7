/** A node of the test's cluster: all that a daemon has for networks, told of tables as by a manager. Run in a namespace. */
import { NetworkTables } from '#agent/discovery/index.ts';
import { DEFAULT_RESOLVER_PROCESS_CONFIG, ResolverProcess } from '#agent/dns/index.ts';
import {
  type AttachRequest,
  ClusterNetworking,
  DEFAULT_NETWORK_CONFIG,
  DEFAULT_OVERLAY_CONFIG,
  DEFAULT_WIREGUARD_CONFIG,
  NetlinkKernel,
  NodeNetwork,
} from '#agent/network/index.ts';
import { silentLogger } from '#common/log.ts';
import { systemClock } from '#common/system/clock.ts';
import { systemRandom } from '#common/system/random.ts';
import { NetworkChanges } from '#gen/swarm/v1/networks.ts';
import { resolverProgram } from '#src/resolver/program.ts';
import { serveMethods } from '#test/support/namespace-program.ts';

export interface ClusterHostSettings {
  readonly instance: string;
  /** Of its own, exists. */
  readonly directory: string;
  readonly nodeId: string;
  readonly address: string;
  /** Tasks that the daemon knows of from before. */
  readonly known?: readonly string[];
}

let networking: ClusterNetworking | undefined;
let network: NodeNetwork | undefined;
const tables = new NetworkTables();

function up(): { readonly networking: ClusterNetworking; readonly network: NodeNetwork } {
  if (networking === undefined || network === undefined) throw new Error('not open');
  return { networking, network };
}

const METHODS = {
  async open({ instance, directory, nodeId, address, known = [] }: ClusterHostSettings): Promise<void> {
    const common = { instance, clock: systemClock, logger: silentLogger };
    const program = await resolverProgram();
    networking = new ClusterNetworking({
      ...common,
      directory: `${directory}/network/overlay`,
      kernel: new NetlinkKernel(),
      tunnel: undefined,
      tunnelConfig: DEFAULT_WIREGUARD_CONFIG,
      overlayConfig: DEFAULT_OVERLAY_CONFIG,
      makeResolver: () =>
        new ResolverProcess({
          directory: `${directory}/resolver`,
          program,
          config: DEFAULT_RESOLVER_PROCESS_CONFIG,
          clock: systemClock,
          random: systemRandom,
          logger: silentLogger,
        }),
    });
    const config = { ...DEFAULT_NETWORK_CONFIG, readyNamespaces: 1 };
    network = new NodeNetwork({ ...common, directory: `${directory}/network`, config, cluster: networking });
    networking.connect(network);
    await network.restore(known);
    await networking.join({ nodeId, address: () => Promise.resolve(address) });
  },
  /** All that is to be known, as bytes in base64. What could not be brought about, in words. */
  async apply(message: string): Promise<readonly string[]> {
    const step = tables.receive(NetworkChanges.decode(Buffer.from(message, 'base64')));
    const problems = await up().networking.apply(tables.views, step?.changes ?? [], new AbortController().signal);
    return problems.map((problem) => problem.message);
  },
  attach: (request: AttachRequest) => up().network.attach(request),
  detach: (taskId: string) => up().network.detach(taskId),
  nameserver: (): string => up().network.nameserverAddress,
  async reconcile(): Promise<readonly string[]> {
    const own = await up().network.reconcile();
    return [...own.repaired, ...(await up().networking.reconcile())];
  },
  async destroy(): Promise<void> {
    await networking?.leave();
    await network?.destroy();
    await networking?.close();
  },
};

export type ClusterHostMethods = typeof METHODS;

serveMethods(METHODS);
