/** Which ways between nodes are tried: all of them where nodes are few, else some. Pure. */
import { type Random, randomInt } from '#common/random.ts';
import type { NetworkDoctorConfig } from './config.ts';

export interface NetworkNodes {
  readonly networkId: string;
  readonly nodeIds: readonly string[];
}

export interface PlannedPairs {
  /** By network and node: whom the node sends packets to. */
  readonly peers: ReadonlyMap<string, ReadonlyMap<string, readonly string[]>>;
  readonly pairs: number;
}

type Limits = Pick<NetworkDoctorConfig, 'allPairsMax' | 'sampledPeers' | 'pathsPerNodeMax' | 'probedNetworksMax'>;

/** So many others of a circle, apart from one another; where they begin is chance. */
function others(at: number, nodeIds: readonly string[], count: number, start: number): readonly string[] {
  const rest = nodeIds.length - 1;
  const wanted = Math.min(count, rest);
  const steps = Array.from(
    { length: wanted },
    (_, index) => 1 + ((start + Math.floor((index * rest) / wanted)) % rest),
  );
  return [...new Set(steps)].map((step) => nodeIds[(at + step) % nodeIds.length] ?? '');
}

export function planPairs(networks: readonly NetworkNodes[], random: Random, limits: Limits): PlannedPairs {
  const probed = networks.filter(({ nodeIds }) => nodeIds.length > 1).slice(0, limits.probedNetworksMax);
  const share = Math.max(1, Math.floor(limits.pathsPerNodeMax / Math.max(1, probed.length)));
  const peers = new Map<string, ReadonlyMap<string, readonly string[]>>();
  for (const { networkId, nodeIds } of probed) {
    const wanted = nodeIds.length <= limits.allPairsMax ? nodeIds.length - 1 : limits.sampledPeers;
    const start = randomInt(random, nodeIds.length - 1);
    const plan = new Map(nodeIds.map((nodeId, at) => [nodeId, others(at, nodeIds, Math.min(wanted, share), start)]));
    peers.set(networkId, plan);
  }
  const pairs = networks.reduce((sum, { nodeIds }) => sum + (nodeIds.length * (nodeIds.length - 1)) / 2, 0);
  return { peers, pairs };
}

/** Pairs that were tried from one end at least, and whose two ends have both reported. */
export function countTested({ peers }: PlannedPairs, hasReported: (nodeId: string) => boolean): number {
  let count = 0;
  for (const plan of peers.values()) {
    const seen = new Set<string>();
    for (const [nodeId, peerIds] of plan)
      for (const peerId of hasReported(nodeId) ? peerIds.filter(hasReported) : [])
        seen.add(nodeId < peerId ? `${nodeId} ${peerId}` : `${peerId} ${nodeId}`);
    count += seen.size;
  }
  return count;
}
