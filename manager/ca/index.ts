export { authorityWarnings } from './authority-warnings.ts';
export type { CaStore, CaView } from './ca-store.ts';
export {
  type CaCaller,
  CertificateAuthority,
  type CertificateAuthorityOptions,
} from './certificate-authority.ts';
export { ClientCertificates } from './client-certificates.ts';
export {
  type BootstrapOptions,
  bootstrapCluster,
  bootstrapWithExternal,
  CLUSTER_DEFAULTS,
  type ClusterBootstrap,
  type FirstManager,
  managerOfRestoredBy,
  nodeLifetimeMs,
} from './cluster-bootstrap.ts';
export { CA_CONFIG, type CaConfig } from './config.ts';
export { checkSignsFor, completeExternalCas } from './external/check-external.ts';
export { EXTERNAL_CONFIG } from './external/config.ts';
export { ExternalAuthority } from './external/external-authority.ts';
export { externalsOfRotation, settleExternalCas } from './external/settle-external.ts';
export { ROTATION_CONFIG, type RotationConfig } from './rotation/config.ts';
export { isManager } from './rotation/node-phase.ts';
export { type PreparedRoot, prepareRoot, type WantedRoot } from './rotation/prepare-root.ts';
export { RootRotator } from './rotation/root-rotator.ts';
export { supersededBy, withRotation } from './rotation/rotation-changes.ts';
export { rotationProgress } from './rotation/rotation-progress.ts';
export { ClusterSigner } from './signer.ts';
export { isRetiredIssuer, retiredIssuerError, trustedRootsPem } from './trusted-roots.ts';
