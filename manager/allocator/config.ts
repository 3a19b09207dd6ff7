/** Tuning of the allocator; nothing here is met by users. */
export interface AllocatorConfig {
  /** Groups of changes handed out in one slice. */
  readonly groupsPerSlice: number;
  /** Tasks and services looked at in one slice, whether they get something or not. */
  readonly looksPerSlice: number;
  /** Networks for which subnets are looked for in one slice: each may go over all subnets that are in use. */
  readonly networksPerSlice: number;
  /** A network is said to run out from this share of its addresses on, and not any more below the lower one. */
  readonly scarceAbove: number;
  readonly scarceBelow: number;
}

export const DEFAULT_ALLOCATOR_CONFIG: AllocatorConfig = {
  // 15 us each when measured with 100,000 tasks: 4 ms. More than a full transaction keeps the log fed.
  groupsPerSlice: 250,
  // 10 us each when they find nothing: 4 ms.
  looksPerSlice: 400,
  // 0.3 ms each with 10,000 networks.
  networksPerSlice: 10,
  // Early enough to grow it in time, far enough apart that restarts do not make it flap.
  scarceAbove: 0.9,
  scarceBelow: 0.8,
};

/** From this feature level on networks exist; below it nothing but PENDING is written. */
export const NETWORKS_LEVEL = 3;

/** The network that published ports come in by has the first identifier, the others those after it. */
export const INGRESS_VNI = 4096;
export const VNI_MAX = 2 ** 24 - 1;

/** Node numbers: they go into addresses and marks of 16 bits, of which some are kept for other ends. */
export const NODE_INDEX_MAX = 65_000;

/** Published ports that nobody named. Swarm's range. */
export const OPEN_PORT_FIRST = 30_000;
export const OPEN_PORT_LAST = 32_767;
