export interface NetworkDoctorConfig {
  /** Nodes are asked to report within this. */
  readonly budgetMs: number;
  /** A report is waited for this long; a node that is later is named. */
  readonly answerMs: number;
  /** Nodes of one network up to which every pair is tried; beyond, each node tries some others. */
  readonly allPairsMax: number;
  /** Others that a node tries of a network that has more nodes. */
  readonly sampledPeers: number;
  /** Ways that one node tries in one check, over all networks. */
  readonly pathsPerNodeMax: number;
  /** Networks whose ways are tried; each takes a socket on each node. */
  readonly probedNetworksMax: number;
  /** Checks that wait for their turn. */
  readonly waitingMax: number;
  /** Findings of one network and kind that are told one by one. */
  readonly findingsMax: number;
}

export const NETWORK_DOCTOR_DEFAULTS: NetworkDoctorConfig = {
  // Where packets are lost a node takes 3.5 s: the window, and echo requests after it.
  budgetMs: 6_000,
  // Who watches a command is patient for about ten seconds.
  answerMs: 8_000,
  // 496 pairs, each tried from both ends with a few packets.
  allPairsMax: 32,
  // With other ones in every check; a node that is cut off is seen by sixteen others.
  sampledPeers: 16,
  // Some thousand packets a second.
  pathsPerNodeMax: 512,
  // As many as agents open.
  probedNetworksMax: 64,
  waitingMax: 4,
  // More than anybody reads.
  findingsMax: 500,
};
