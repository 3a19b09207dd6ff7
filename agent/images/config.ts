/** Tuning of the image store. Every default is justified; tests pass smaller ones. */
import type { BackoffOptions } from '#common/backoff.ts';

const KIB = 1024;
const MIB = 1024 * KIB;
const GIB = 1024 * MIB;

/** What an archive may be before buildah sees it. */
export interface ArchiveLimits {
  /** Of the unpacked archive: disks of small hosts are not larger. */
  readonly archiveBytesMax: number;
  /** Of all layers of one image, unpacked. */
  readonly unpackedBytesMax: number;
  /**
   * How often larger the unpacked data may be than the packed data. Real layers reach 20; a bomb of zeros in gzip
   * reaches 1030.
   */
  readonly ratioMax: number;
  /** Below this many unpacked bytes the ratio is not looked at: small files of zeros are common. */
  readonly ratioFreeBytes: number;
  /** Members of the archive itself: 127 layers of 4 files each, for 50 images, is half of it. */
  readonly membersMax: number;
  /** Files in all layers of one image; a full desktop distribution has 400,000. */
  readonly entriesMax: number;
  /** Of manifests, indexes and configs each; the limit of containers/image. */
  readonly documentBytesMax: number;
  /** Docker's own limit: more cannot be mounted everywhere. */
  readonly layersMax: number;
  readonly imagesMax: number;
}

export const ARCHIVE_LIMITS: ArchiveLimits = {
  archiveBytesMax: 32 * GIB,
  unpackedBytesMax: 64 * GIB,
  ratioMax: 200,
  ratioFreeBytes: 256 * MIB,
  membersMax: 50_000,
  entriesMax: 1_000_000,
  documentBytesMax: 4 * MIB,
  layersMax: 127,
  imagesMax: 100,
};

/** What a build context may be. */
export interface ContextLimits {
  readonly bytesMax: number;
  readonly entriesMax: number;
}

export interface ImageTuning {
  readonly archive: ArchiveLimits;
  readonly context: ContextLimits;
  /** buildah processes at once: each reads the whole store's lists anew, and more than four only wait for its locks. */
  readonly processesMax: number;
  /** Work that may wait for a process; beyond it the node is asked for more than it can do. */
  readonly processQueueMax: number;
  /** A client that sends nothing for so long while it loads or builds is gone. */
  readonly inputIdleMs: number;
  readonly loadTimeoutMs: number;
  readonly buildTimeoutMs: number;
  /** From the first attempt to the last; a layer of 2 GiB at 1 MiB/s is there by then. */
  readonly pullTimeoutMs: number;
  /** tag, rmi and rm: they take 20 ms, and wait for other processes' locks. */
  readonly commandTimeoutMs: number;
  readonly pullAttemptsMax: number;
  readonly pullBackoff: BackoffOptions;
  /** One HTTP request to a registry until its answer is complete; answers are small. */
  readonly requestTimeoutMs: number;
  /** Asking for a digest, all requests and attempts together: a command waits for it. */
  readonly resolveTimeoutMs: number;
  /** As above, when there is a local image to fall back to. */
  readonly refreshTimeoutMs: number;
  /** Between SIGTERM and SIGKILL for a buildah that is not wanted any more: it removes its working container. */
  readonly terminationGraceMs: number;
  /** An operation that writes images is stopped when less is left on the disk: the daemon's own files live there too. */
  readonly reserveBytes: number;
  /** For small disks: the reserve is at most this share. */
  readonly reserveShare: number;
  readonly reserveIntervalMs: number;
  /** Given back when not even an image can be removed for want of space; the lists of large stores are about 1 MiB. */
  readonly emergencyBytes: number;
  readonly collector: CollectorTuning;
  readonly disk: DiskTuning;
}

export interface CollectorTuning {
  /** Percent of the disk in use at which collection begins; the kubelet's default. */
  readonly highPercent: number;
  /** Percent at which it is enough. */
  readonly lowPercent: number;
  /** Images that were used, pulled or built since then stay: what a rollout pulls is used a moment later. */
  readonly graceMs: number;
  readonly intervalMs: number;
}

export interface DiskTuning {
  /** Percent in use at which the node is under disk pressure: above the collector's mark, so that it may act first. */
  readonly pressurePercent: number;
  /** Percent at which pressure ends: apart from the other, so that the condition does not flap. */
  readonly relievedPercent: number;
  readonly intervalMs: number;
}

export const IMAGE_TUNING: ImageTuning = {
  archive: ARCHIVE_LIMITS,
  context: { bytesMax: 16 * GIB, entriesMax: 1_000_000 },
  processesMax: 4,
  processQueueMax: 256,
  inputIdleMs: 60_000,
  loadTimeoutMs: 60 * 60_000,
  buildTimeoutMs: 2 * 60 * 60_000,
  pullTimeoutMs: 45 * 60_000,
  commandTimeoutMs: 120_000,
  pullAttemptsMax: 5,
  pullBackoff: { baseMs: 500, maxMs: 15_000, factor: 2, jitter: 0.5 },
  requestTimeoutMs: 15_000,
  resolveTimeoutMs: 30_000,
  refreshTimeoutMs: 5_000,
  terminationGraceMs: 10_000,
  reserveBytes: 512 * MIB,
  reserveShare: 0.02,
  reserveIntervalMs: 500,
  emergencyBytes: 4 * MIB,
  collector: { highPercent: 85, lowPercent: 80, graceMs: 10 * 60_000, intervalMs: 60_000 },
  disk: { pressurePercent: 92, relievedPercent: 88, intervalMs: 10_000 },
};

/** Where things are and whom to trust: decided by whoever starts the daemon. */
export interface ImageStoreOptions {
  /** Of our own (0700): images, layers and temporary files. An absolute path without `:` and `,`. */
  readonly stateDirectory: string;
  /** Lost at reboot (0700). */
  readonly runDirectory: string;
  /** Absolute path of buildah. */
  readonly buildah: string;
  /** `host`, `host:port` or `*.domain`: plain HTTP and unknown certificates are allowed there. */
  readonly insecureRegistries: readonly string[];
  /** Registries on the loopback address are insecure ones, as in Docker. */
  readonly loopbackInsecure: boolean;
  /** Each holds a directory per `host[:port]` with `*.crt` (roots) and `*.cert` with `*.key` (client). */
  readonly certificateDirectories: readonly string[];
  /** Bundles of the system's root certificates; the first that exists is used. */
  readonly systemCertificates: readonly string[];
  /** What buildah and its builds inherit: proxies, nothing else of the daemon's own. */
  readonly environment: Readonly<Record<string, string>>;
  /** Devices that layers of loaded archives may contain besides null, zero and the like. */
  readonly allowDeviceNodes: boolean;
  readonly tuning: ImageTuning;
}

export const IMAGE_STORE_DEFAULTS = {
  buildah: '/usr/bin/buildah',
  insecureRegistries: [],
  loopbackInsecure: true,
  certificateDirectories: ['/etc/starling/certs.d', '/etc/docker/certs.d', '/etc/containers/certs.d'],
  systemCertificates: [
    '/etc/ssl/certs/ca-certificates.crt',
    '/etc/pki/tls/certs/ca-bundle.crt',
    '/etc/ssl/ca-bundle.pem',
    '/etc/ssl/cert.pem',
  ],
  environment: {},
  allowDeviceNodes: false,
  tuning: IMAGE_TUNING,
} as const satisfies Omit<ImageStoreOptions, 'stateDirectory' | 'runDirectory'>;

const INHERITED = ['HTTP_PROXY', 'HTTPS_PROXY', 'NO_PROXY', 'http_proxy', 'https_proxy', 'no_proxy'];

/** The part of a process environment that `environment` above is meant for. */
export function inheritedEnvironment(all: Readonly<Record<string, string | undefined>>): Record<string, string> {
  const kept: Record<string, string> = {};
  for (const name of INHERITED) if (all[name] !== undefined) kept[name] = all[name];
  return kept;
}
