/** A real image store in a directory of its own, with everything gone afterwards. */
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import {
  type BuildRequest,
  IMAGE_STORE_DEFAULTS,
  IMAGE_TUNING,
  ImageStore,
  type ImageStoreOptions,
  type ImageTuning,
} from '#agent/images/index.ts';
import { silentLogger } from '#common/log.ts';
import { type BusyboxOptions, busyboxArchiveBytes } from '#test/fixtures/busybox-image.ts';
import { chunks } from '#test/fixtures/image-archive.ts';
import { skipBecause } from '#test/support/skip-because.ts';

const run = promisify(execFile);

/** Skips the suite, with the reason, where images cannot be handled. */
export function requireBuildah(context: Mocha.Context): void {
  const missing = ['/usr/bin/buildah', '/bin/busybox'].filter((path) => !existsSync(path));
  if (process.getuid?.() === 0 && missing.length === 0) return;
  const missed = missing.length > 0 ? ` (missing: ${missing.join(', ')})` : '';
  skipBecause(context, `needs root, buildah and busybox-static${missed}`);
}

export const TEST_TUNING: ImageTuning = {
  ...IMAGE_TUNING,
  pullBackoff: { baseMs: 20, maxMs: 100, factor: 2, jitter: 0 },
  pullAttemptsMax: 3,
  terminationGraceMs: 5_000,
  reserveBytes: 1024 * 1024,
  reserveIntervalMs: 50,
  emergencyBytes: 1024 * 1024,
};

export type StoreChanges = Partial<Omit<ImageStoreOptions, 'tuning'>> & { readonly tuning?: Partial<ImageTuning> };

export class StoreFixture {
  readonly directory: string;
  #store: ImageStore | undefined;

  private constructor(directory: string) {
    this.directory = directory;
  }

  static async make(changes: StoreChanges = {}): Promise<StoreFixture> {
    const fixture = new StoreFixture(await mkdtemp(join(tmpdir(), 'starling-images-')));
    try {
      await fixture.open(changes);
      return fixture;
    } catch (error) {
      await fixture.remove();
      throw error;
    }
  }

  get store(): ImageStore {
    if (this.#store === undefined) throw new Error('the store is closed');
    return this.#store;
  }

  get stateDirectory(): string {
    return join(this.directory, 'state');
  }

  /** Opens the store, again or with other options. */
  async open(changes: StoreChanges = {}): Promise<ImageStore> {
    const options: ImageStoreOptions = {
      ...IMAGE_STORE_DEFAULTS,
      stateDirectory: this.stateDirectory,
      runDirectory: join(this.directory, 'run'),
      certificateDirectories: [join(this.directory, 'certs.d')],
      ...changes,
      tuning: { ...TEST_TUNING, ...changes.tuning },
    };
    this.#store = await ImageStore.open(options, silentLogger);
    return this.#store;
  }

  async close(): Promise<void> {
    await this.#store?.close();
    this.#store = undefined;
  }

  async loadBusybox(options: BusyboxOptions = {}): Promise<string> {
    const [loaded] = await this.store.load(chunks(await busyboxArchiveBytes(options)), new AbortController().signal);
    if (loaded === undefined) throw new Error('nothing was loaded');
    return loaded.id;
  }

  /** Builds the context, for this machine, as a request that asks for nothing else. */
  build(archive: Buffer, changes: Partial<BuildRequest> = {}): Promise<string> {
    return this.store.build({
      tags: [],
      dockerfile: 'Dockerfile',
      buildArgs: {},
      target: '',
      noCache: false,
      pull: false,
      labels: {},
      platform: { os: 'linux', architecture: process.arch === 'arm64' ? 'arm64' : 'amd64' },
      credentials: new Map(),
      network: 'default',
      context: chunks(archive),
      onLine: () => {},
      signal: never(),
      ...changes,
    });
  }

  /** What operations leave behind when they should leave nothing: files of work in progress, and mounts. */
  async leftovers(): Promise<readonly string[]> {
    const work = await readdir(join(this.stateDirectory, 'work'));
    const configuration = await readdir(join(this.directory, 'run/work'));
    return [...work, ...configuration, ...(await this.#mounts())];
  }

  async #mounts(): Promise<readonly string[]> {
    const table = await readFile('/proc/self/mountinfo', 'utf8');
    const points = table.split('\n').map((line) => line.split(' ')[4] ?? '');
    return points.filter((point) => point.startsWith(`${this.directory}/`));
  }

  async remove(): Promise<void> {
    await this.close();
    // containers/storage makes its own directory a mount point of itself.
    for (const point of (await this.#mounts()).toReversed()) await run('umount', ['-l', point]).catch(() => {});
    await rm(this.directory, { recursive: true, force: true });
  }
}

export async function makeDirectory(parent: string, ...parts: readonly string[]): Promise<string> {
  const path = join(parent, ...parts);
  await mkdir(path, { recursive: true });
  return path;
}

/** For calls that nobody cancels. */
export function never(): AbortSignal {
  return new AbortController().signal;
}
