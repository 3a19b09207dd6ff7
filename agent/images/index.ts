export type { BuildRequest } from './build/image-builder.ts';
export {
  ARCHIVE_LIMITS,
  IMAGE_STORE_DEFAULTS,
  IMAGE_TUNING,
  type ImageStoreOptions,
  type ImageTuning,
  inheritedEnvironment,
} from './config.ts';
export { DiskMonitor, type DiskPressure } from './disk/disk-monitor.ts';
export type { EnsureRequest } from './ensure-image.ts';
export { imageHandlers, type NodeUsage, type UsageCount } from './image-service.ts';
export {
  type HoldRequest,
  type ImageDetail,
  type ImageDiskUsage,
  ImageStore,
  type RegistryAnswer,
  type UserPull,
} from './image-store.ts';
export type { LoadedImage } from './load/image-loader.ts';
export type { PullEvent, PullResult } from './pull/image-puller.ts';
export type { ImagePlatform } from './registry/manifest.ts';
export type { PruneRequest } from './remove/image-pruner.ts';
export type { Removal } from './remove/image-remover.ts';
export type { ImageConfig, ImageHealthcheck } from './storage/image-config.ts';
export type { ResolvedImage } from './storage/resolved-image.ts';
export { ALL_IMAGES, type ImageListRequest } from './view/image-filter.ts';
export type { ImageSummary } from './view/image-summary.ts';
