export { type CaConnection, type DialCa, dialCa } from './ca-connection.ts';
export { CertificateRenewer, type RenewalStatus } from './certificate-renewer.ts';
export { IDENTITY_CONFIG, type IdentityConfig, RENEWAL_CONFIG, type RenewalConfig } from './config.ts';
export { type FetchedRoot, fetchRoot } from './fetch-root.ts';
export type { HomeCheck } from './home-check.ts';
export { IdentityStore, type LoadedIdentity, type NewIdentity } from './identity-store.ts';
export { type JoinOptions, joinCluster } from './join-cluster.ts';
export type { KnownManager, NodeAddresses } from './node-state.ts';
export { type RenewOptions, renewCertificate } from './renew-certificate.ts';
