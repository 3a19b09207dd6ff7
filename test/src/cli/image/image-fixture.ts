/** Images that both the docker CLI (for the reference) and ours are shown. */
import { SwarmError } from '#common/errors.ts';
import {
  DiskUsageEntry,
  DiskUsageKind,
  Image,
  ImageConfig,
  ImageHealthcheck,
  ImageRemoval,
} from '#gen/swarm/v1/images.ts';
import { Platform } from '#gen/swarm/v1/specs.ts';

const DAY_MS = 24 * 60 * 60 * 1000;

export const IDS = { web: 'a1'.repeat(32), dangling: 'b2'.repeat(32), digestOnly: 'c3'.repeat(32) };
export const DIGEST = `sha256:${'d'.repeat(64)}`;

/** Of one repository each: Docker shows several in no certain order. The newest first. */
export function images(nowMs: number): readonly Image[] {
  return [
    Image.create({
      id: IDS.dangling,
      createdAtMs: nowMs - 2.1 * 60 * 60 * 1000,
      sizeBytes: 123_456_789,
      platform: Platform.create({ os: 'linux', architecture: 'amd64' }),
    }),
    Image.create({
      id: IDS.web,
      parent: IDS.dangling,
      repoTags: ['localhost:5000/team/web:1.0', 'localhost:5000/team/web:latest'],
      repoDigests: [`localhost:5000/team/web@${DIGEST}`],
      createdAtMs: nowMs - 3.1 * DAY_MS,
      sizeBytes: 4_300_123,
      labels: { a: 'b' },
      platform: Platform.create({ os: 'linux', architecture: 'arm64' }),
      variant: 'v8',
      author: 'somebody',
      comment: 'a <comment>',
      diffIds: [`sha256:${'1'.repeat(64)}`, `sha256:${'2'.repeat(64)}`],
      layerDirectories: ['/layers/2', '/layers/1', '/layers/0'],
      lastTaggedAtMs: Date.UTC(2026, 0, 2, 3, 4, 5, 678),
      config: ImageConfig.create({
        entrypoint: ['/entry'],
        command: ['a', 'b c'],
        env: ['PATH=/bin', 'A=1'],
        workingDir: '/srv',
        user: '1000',
        exposedPorts: ['80/tcp'],
        volumes: ['/data'],
        labels: { a: 'b' },
        stopSignal: 'SIGINT',
        healthcheck: ImageHealthcheck.create({ test: ['CMD', 'true'], intervalMs: 30_000, retries: 3 }),
      }),
    }),
    Image.create({
      id: IDS.digestOnly,
      repoDigests: [`localhost/only@${DIGEST}`],
      createdAtMs: nowMs - 40 * DAY_MS,
      sizeBytes: 999,
    }),
  ];
}

/** What both daemons show when they are asked for one image. */
export function inspectedImage(): Image {
  const nowMs = Date.UTC(2026, 5, 1, 2, 3, 4, 500);
  const found = images(nowMs).find(({ id }) => id === IDS.web) as Image;
  return { ...found, createdAtMs: nowMs };
}

export const REMOVAL = ImageRemoval.create({
  untagged: ['localhost:5000/team/web:1.0', `localhost:5000/team/web@${DIGEST}`],
  deleted: [IDS.web, IDS.dangling],
  reclaimedBytes: 123_456_789,
});

export const USAGE: readonly DiskUsageEntry[] = [
  DiskUsageEntry.create({
    kind: DiskUsageKind.IMAGES,
    total: 2,
    active: 1,
    sizeBytes: 130_000_000,
    reclaimableBytes: 125_699_877,
  }),
  DiskUsageEntry.create({
    kind: DiskUsageKind.CONTAINERS,
    total: 2,
    active: 1,
    sizeBytes: 4000,
    reclaimableBytes: 3000,
  }),
  DiskUsageEntry.create({ kind: DiskUsageKind.VOLUMES, total: 2, active: 1, sizeBytes: 300, reclaimableBytes: 200 }),
  DiskUsageEntry.create({
    kind: DiskUsageKind.BUILD_CACHE,
    total: 1,
    active: 0,
    sizeBytes: 777,
    reclaimableBytes: 777,
  }),
];

/** What both daemons say of a reference: `nope...` is not there, `used...` cannot be removed. */
export function checkReference(reference: string, isRemoval = false): void {
  if (reference.includes('nope'))
    throw new SwarmError({ code: 'not-found', reason: 'image-not-found', message: `No such image: ${reference}` });
  if (isRemoval && reference.includes('used'))
    throw new SwarmError({
      code: 'precondition',
      reason: 'in-use',
      message: 'conflict: unable to delete a1a1a1a1a1a1',
    });
}
