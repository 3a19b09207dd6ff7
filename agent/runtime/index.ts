export type { CgroupLimits, Cgroups } from './cgroups/cgroups.ts';
export type { CgroupLayout, CgroupMode } from './cgroups/layout.ts';
export type { CgroupStatistics } from './cgroups/statistics.ts';
export { DEFAULT_RUNTIME_CONFIG, type RuntimeConfig } from './config.ts';
export type { ContainerExit, ContainerRecord, ContainerState } from './container-record.ts';
export { ContainerRuntime, type ContainerView } from './container-runtime.ts';
export type { ContainerImage, CreateRequest } from './create-container.ts';
export type { ExecRequest, ExecResult } from './exec.ts';
export { machineCapabilities } from './machine-capabilities.ts';
export { type MountInfo, mountsBelow, parseMountInfo } from './mount-info.ts';
export { enterMountNamespace } from './namespace/enter.ts';
export { ensureMountNamespace, mountNamespaceFile, removeMountNamespace } from './namespace/private-mounts.ts';
export { type OpenedRuntime, openRuntime, type RecoveryReport, type RuntimeOptions } from './open-runtime.ts';
export { findProgram, PROGRAM_ENVIRONMENT, requireProgram } from './programs.ts';
export { diskUsage } from './rootfs/disk-usage.ts';
export type { NetworkChoice } from './spec/build-oci-spec.ts';
export {
  type BlockIoLimits,
  type ContainerSpec,
  type DeviceSpec,
  EMPTY_CONTAINER_SPEC,
  type ImageDefaults,
  type MountSpec,
  type NamespaceChoice,
  NO_IMAGE_DEFAULTS,
  type Propagation,
  type ResourceLimits,
  type UlimitSpec,
} from './spec/container-spec.ts';
export { cleanAbsolutePath } from './spec/paths.ts';
