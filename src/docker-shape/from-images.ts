/** Images in Docker's shape. */

import { timestamp } from '#common/template/encode-json.ts';
import type { StructData } from '#common/template/go-types.ts';
import type { Image, ImageConfig, ImageHealthcheck } from '#gen/swarm/v1/images.ts';

const NS_PER_MS = 1e6;

/** An id as Docker writes it; empty where there is none. */
export function imageId(id: string): string {
  return id === '' ? '' : `sha256:${id}`;
}

/** What `image inspect` shows. */
export function imageShape(image: Image): StructData {
  return {
    ID: imageId(image.id),
    RepoTags: image.repoTags,
    RepoDigests: image.repoDigests,
    Parent: imageId(image.parent),
    Comment: image.comment,
    Created: image.createdAtMs === 0 ? '' : timestamp(image.createdAtMs),
    Author: image.author,
    Config: configShape(image.config, image.labels),
    Architecture: image.platform?.architecture,
    Variant: image.variant,
    Os: image.platform?.os,
    Size: image.sizeBytes,
    GraphDriver: { Name: 'overlay', Data: layerDirectories(image.layerDirectories) },
    RootFS: { Type: 'layers', Layers: image.diffIds },
    Metadata: { LastTagTime: image.lastTaggedAtMs === 0 ? undefined : image.lastTaggedAtMs },
  };
}

function configShape(config: ImageConfig | undefined, labels: Image['labels']): StructData {
  return {
    User: config?.user,
    ExposedPorts: set(config?.exposedPorts),
    Env: config?.env,
    Entrypoint: config?.entrypoint,
    Cmd: config?.command,
    Volumes: set(config?.volumes),
    WorkingDir: config?.workingDir,
    Labels: config?.labels ?? labels,
    StopSignal: config?.stopSignal,
    Healthcheck: config?.healthcheck && healthcheckShape(config.healthcheck),
    OnBuild: config?.onBuild,
    Shell: config?.shell,
  };
}

function set(keys: readonly string[] = []): StructData {
  return Object.fromEntries(keys.map((key) => [key, {}]));
}

function healthcheckShape(healthcheck: ImageHealthcheck): StructData {
  return {
    Test: healthcheck.test,
    Interval: healthcheck.intervalMs * NS_PER_MS,
    Timeout: healthcheck.timeoutMs * NS_PER_MS,
    StartPeriod: healthcheck.startPeriodMs * NS_PER_MS,
    StartInterval: healthcheck.startIntervalMs * NS_PER_MS,
    Retries: healthcheck.retries,
  };
}

/** The highest layer is Docker's `UpperDir`, those under it its `LowerDir`. */
function layerDirectories([upper, ...lower]: readonly string[]): StructData | undefined {
  if (upper === undefined) return undefined;
  return { UpperDir: upper, ...(lower.length === 0 ? {} : { LowerDir: lower.join(':') }) };
}
