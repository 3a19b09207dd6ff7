export { Allocator } from './allocator.ts';
export {
  allowsOverlap,
  attachmentsOf,
  declaredVni,
  driverOf,
  hasVirtualAddresses,
  isIngress,
  isIngressPort,
  isOverlay,
  isPredefined,
  OVERLAP_OPTION,
  PREDEFINED_NETWORKS,
  PROTOCOL_NAMES,
  publishedKey,
  publishesByIngress,
  VNI_OPTION,
} from './attachments.ts';
export { isLive } from './claims.ts';
export { type AllocatorConfig, DEFAULT_ALLOCATOR_CONFIG, INGRESS_VNI, NETWORKS_LEVEL, VNI_MAX } from './config.ts';
export { changesOfLevel, INGRESS_NAME, ingressNetwork } from './ingress.ts';
export { DEFAULT_POOLS, DEFAULT_SUBNET_SIZE } from './subnet-plan.ts';
export { capacityOf, rangeOf, subnetsHave } from './subnets.ts';
