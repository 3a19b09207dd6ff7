export { ClusterNetworking, type ClusterNetworkingOptions } from './cluster/cluster-networking.ts';
export type { ClusterMember } from './cluster/node-underlay.ts';
export type { ClusterNetworks, TaskPlace } from './cluster-networks.ts';
export { DEFAULT_NETWORK_CONFIG, type NetworkConfig } from './config.ts';
export { GATEWAY_NETWORK } from './describe-attachment.ts';
export { DEFAULT_NETWORK_DOCTOR_CONFIG, type NetworkDoctorConfig } from './doctor/config.ts';
export { type ExaminedNetworks, type KnownNetworks, NetworkDoctor } from './doctor/network-doctor.ts';
export { RepairLog } from './doctor/repair-log.ts';
export { type InstanceNames, instanceNames } from './instance.ts';
export { MemoryNetwork } from './memory-network.ts';
export type { MeshTables } from './mesh/routing-mesh.ts';
export { networksLeft } from './networks-left.ts';
export { NodeNetwork, type NodeNetworkOptions } from './node-network.ts';
export { DEFAULT_OVERLAY_CONFIG, type OverlayConfig } from './overlay/config.ts';
export { CommandKernel } from './overlay/kernel/command-kernel.ts';
export { NetlinkKernel } from './overlay/kernel/netlink-kernel.ts';
export type { KernelNamespace, NetworkKernel } from './overlay/kernel/network-kernel.ts';
export { type Touched, type TouchedItems, touchedBy, type Underlay } from './overlay/network-view.ts';
export type {
  OverlayAttacher,
  OverlayAttachRequest,
  OverlayLink,
  OverlayMembership,
} from './overlay/overlay-attach.ts';
export {
  OverlayNetworks,
  type OverlayNetworksOptions,
  type OverlayProblem,
  type OverlayReconcileReport,
  type OverlayRestoreReport,
} from './overlay/overlay-networks.ts';
export { DEFAULT_RULESET_GUARD, RulesetGuard, type RulesetGuardOptions } from './ruleset-guard.ts';
export type {
  AttachedNetwork,
  AttachRequest,
  ContestedPort,
  DnsSettings,
  HostPort,
  NameFiles,
  NetworkAddress,
  NetworkAttachment,
  NetworkMembership,
  NetworkMode,
  NetworkProtocol,
  ReconcileReport,
  RestoreReport,
  TaskNetwork,
} from './task-network.ts';
export type { ExpectedPorts } from './task-readiness.ts';
export { DEFAULT_WIREGUARD_CONFIG, type WireGuardConfig } from './wireguard/config.ts';
export { Tunnel, type TunnelOptions } from './wireguard/tunnel.ts';
