/** A daemon with containers for real, as `bin/swarmd` starts it, in directories of its own. */
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { connectLocal } from '#src/client/local.ts';
import type { SwarmClient } from '#src/client/swarm-client.ts';
import { busyboxArchiveBytes } from '#test/fixtures/busybox-image.ts';
import { eventually } from '#test/support/eventually.ts';

export const IMAGE = 'busybox:bench';
/** Obeys SIGTERM at once. */
export const COMMAND = ['/bin/sh', '-c', 'trap exit TERM; sleep 1000 & wait'];
const ROUND_TIMEOUT_MS = 120_000;
const root = join(import.meta.dirname, '../../..');
const run = promisify(execFile);

export function until(what: string, done: () => Promise<boolean> | boolean, everyMs: number): Promise<void> {
  return eventually(what, done, { timeoutMs: ROUND_TIMEOUT_MS, everyMs });
}

export const median = (values: readonly number[]): number =>
  values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0;

export class BenchDaemon {
  readonly client: SwarmClient;
  readonly daemon: ChildProcess;
  readonly flags: readonly string[];

  constructor(folder: string, name: string) {
    this.flags = [
      '--state-dir',
      join(folder, name),
      '--run-dir',
      join(folder, `${name}-run`),
      '--cgroup-parent',
      `/starling-bench-${name}`,
    ];
    this.daemon = spawn(join(root, 'bin/swarmd'), this.flags, { stdio: ['ignore', 'ignore', 'pipe'] });
    this.client = connectLocal(join(folder, `${name}-run`, 'swarm.sock'));
  }

  get pid(): number {
    return this.daemon.pid ?? 0;
  }

  async ready(): Promise<void> {
    const answers = async (): Promise<boolean> =>
      this.client.node.getInfo({}).then(
        () => true,
        () => false,
      );
    await until('swarmd', answers, 50);
  }

  async loadImage(): Promise<void> {
    const bytes = await busyboxArchiveBytes({ name: IMAGE });
    const chunks = Array.from({ length: Math.ceil(bytes.length / 2 ** 20) }, (_, index) => ({
      chunk: bytes.subarray(index * 2 ** 20, (index + 1) * 2 ** 20),
    }));
    await this.client.images.loadImage(chunks);
  }

  async destroy(): Promise<void> {
    this.client.close();
    const ended = once(this.daemon, 'exit');
    this.daemon.kill('SIGTERM');
    await ended;
    await run(join(root, 'bin/swarmd'), ['destroy', ...this.flags]);
  }
}
