export type { CaStore, CaView } from './ca-store.ts';
export {
  type CaCaller,
  CertificateAuthority,
  type CertificateAuthorityOptions,
} from './certificate-authority.ts';
export { ClientCertificates } from './client-certificates.ts';
export { ClusterAuthority } from './cluster-authority.ts';
export {
  type BootstrapOptions,
  bootstrapCluster,
  CLUSTER_DEFAULTS,
  type ClusterBootstrap,
  type FirstManager,
  managerOfRestored,
  nodeLifetimeMs,
} from './cluster-bootstrap.ts';
export { CA_CONFIG, type CaConfig } from './config.ts';
export { roleOfToken } from './join-token-check.ts';
export { isRetiredIssuer, retiredIssuerError, trustedRootsPem } from './trusted-roots.ts';
