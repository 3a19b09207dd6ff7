export { DEFAULT_NETWORK_CONFIG, type NetworkConfig } from './config.ts';
export { MemoryNetwork } from './memory-network.ts';
export { GATEWAY_NETWORK, NodeNetwork, type NodeNetworkOptions } from './node-network.ts';
export type {
  AttachedNetwork,
  AttachRequest,
  ContestedPort,
  DnsSettings,
  HostPort,
  NameFiles,
  NetworkAddress,
  NetworkAttachment,
  NetworkMode,
  NetworkProtocol,
  ReconcileReport,
  RestoreReport,
  TaskNetwork,
} from './task-network.ts';
