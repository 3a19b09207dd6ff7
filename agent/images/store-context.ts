/** What the parts of the image store share. */
import type { Clock } from '#common/clock.ts';
import { SwarmError } from '#common/errors.ts';
import { canonicalName, type ImageReference } from '#common/image-reference.ts';
import type { Logger } from '#common/log.ts';
import type { Random } from '#common/random.ts';
import type { Buildah } from './buildah/buildah.ts';
import { classifyFailure } from './buildah/classify-failure.ts';
import type { ImageStoreOptions } from './config.ts';
import type { DiskReserve } from './disk/disk-reserve.ts';
import type { EmergencySpace } from './disk/emergency-space.ts';
import type { Holds } from './holds.ts';
import type { LastUse } from './last-use.ts';
import type { RegistryAccess } from './registry/registry-access.ts';
import type { RegistryClient } from './registry/registry-client.ts';
import type { StoreIndex } from './storage/store-index.ts';

export interface StoreContext {
  readonly options: ImageStoreOptions;
  readonly access: RegistryAccess;
  readonly registry: RegistryClient;
  readonly buildah: Buildah;
  readonly index: StoreIndex;
  readonly holds: Holds;
  readonly lastUse: LastUse;
  readonly reserve: DiskReserve;
  readonly emergency: EmergencySpace;
  readonly names: NameLock;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
}

/**
 * Names move and images go one at a time: whoever removes what a name stands for has to know that it stands for the
 * same thing when it happens. New images arrive without names, and are named under this lock.
 */
export class NameLock {
  #last: Promise<unknown> = Promise.resolve();
  /** Start times of operations that are about to name an image which has none yet. */
  readonly #arriving = new Set<{ readonly sinceMs: number }>();
  readonly #clock: Clock;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Runs the work when all that was asked for before has ended. */
  async run<T>(work: () => Promise<T>): Promise<T> {
    const turn = this.#last.then(work, work);
    this.#last = turn.catch(() => {});
    return turn;
  }

  /** Nameless images that arrive during the work are not rubbish. */
  async whileArriving<T>(work: () => Promise<T>): Promise<T> {
    const mark = { sinceMs: this.#clock.now() };
    this.#arriving.add(mark);
    try {
      return await work();
    } finally {
      this.#arriving.delete(mark);
    }
  }

  /** Images that arrived later may be about to get a name; Infinity when none can. */
  get arrivingSinceMs(): number {
    return Math.min(...[...this.#arriving].map(({ sinceMs }) => sinceMs));
  }
}

/** Gives the image a name. To be called under the name lock. */
export async function tagImage(
  context: StoreContext,
  imageId: string,
  name: ImageReference,
  signal: AbortSignal,
): Promise<void> {
  const target = canonicalName(name);
  const what = `tagging ${target}`;
  const result = await context.buildah.run({
    what,
    args: () => ['tag', imageId, target],
    timeoutMs: context.options.tuning.commandTimeoutMs,
    signal,
    writes: false,
  });
  if (result.exitCode !== 0) throw classifyFailure(what, result.stderr, 'internal');
}

/** The platform of this node, in the words of images. */
export function nodePlatform(): { readonly os: string; readonly architecture: string } {
  const architectures: Readonly<Record<string, string>> = { x64: 'amd64', ia32: '386' };
  return { os: process.platform, architecture: architectures[process.arch] ?? process.arch };
}

/** "os/architecture" or "os/architecture/variant"; the node's when empty. */
export function parsePlatform(text: string): { readonly os: string; readonly architecture: string } {
  if (text === '') return nodePlatform();
  const [os = '', architecture = ''] = text.split('/');
  if (!/^[a-z0-9]+\/[a-z0-9_]+(?:\/[a-z0-9]+)?$/.test(text))
    throw new SwarmError({
      code: 'invalid',
      reason: 'bad-flag',
      field: '--platform',
      message: `${JSON.stringify(text.slice(0, 100))} is not a platform`,
      hint: 'write os/architecture, such as linux/amd64',
    });
  return { os, architecture };
}
