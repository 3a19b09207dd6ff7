export { DEFAULT_NETWORK_CONFIG, type NetworkConfig } from './config.ts';
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
