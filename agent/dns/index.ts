export { CONTAINER_NAMESERVER, containerResolvConf, type ResolvConf, readResolvConf } from './book/resolv-conf.ts';
export {
  DEFAULT_RESOLVER_CONFIG,
  DEFAULT_RESOLVER_PROCESS_CONFIG,
  type ResolverConfig,
  type ResolverProcessConfig,
} from './config.ts';
export { type ContainerDns, type ContainerDnsOptions, containerDns } from './container-dns.ts';
export { ControlServer, type ControlServerOptions } from './control/control-server.ts';
export { type ResolverFiles, resolverFiles } from './control/resolver-files.ts';
export { ResolverService, type ResolverServiceOptions } from './control/resolver-service.ts';
export {
  type ResolverContents,
  ResolverProcess,
  type ResolverProcessOptions,
  type ResolverState,
} from './process/resolver-process.ts';
export type { ResolverProgram } from './process/resolver-program.ts';
