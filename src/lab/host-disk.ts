/**
 * A disk of a host's own, below its state directory: a file with a file system in it. So it can fill up and be slow
 * without anybody else noticing. It is mounted in the host's mount namespace alone, and goes from there with a loss of
 * power; its content stays.
 */
import { access, open } from 'node:fs/promises';
import { SwarmError } from '#common/errors.ts';
import { LAB_CONFIG } from './config.ts';
import type { HostPaths } from './names.ts';
import { mustRun, runCommand } from './run-command.ts';
import { waitUntil } from './wait-until.ts';

const MEGABYTE = 1024 * 1024;
/** Takes all space that is free. */
const FILLER = '.filler';
/** Fixed texts: all that varies comes in as positional parameters, which a shell does not interpret. */
// Then once more, block by block and durably: the file system gives back what it kept for delayed writes.
const FILL = 'cat /dev/zero >>"$1"; sync; ! dd if=/dev/zero of="$1" bs=1k oflag=append,dsync conv=notrunc status=none';

export class HostDisk {
  readonly #paths: HostPaths;
  readonly #megabytes: number;

  constructor(paths: HostPaths, megabytes: number) {
    this.#paths = paths;
    this.#megabytes = megabytes;
  }

  /** Makes it if it is new, and mounts it. */
  async mount(): Promise<void> {
    const { disk, stateDirectory } = this.#paths;
    if (!(await exists(disk))) {
      const file = await open(disk, 'wx', 0o600);
      try {
        await file.truncate(this.#megabytes * MEGABYTE);
      } finally {
        await file.close();
      }
      // Nothing held back for root: full is full.
      await mustRun(['mkfs.ext4', '-q', '-m', '0', disk]);
    }
    // After a loss of power the kernel may still be letting go of it: twice at a time would damage it.
    await waitUntil(`${disk} to be released`, LAB_CONFIG.killMs, async () => {
      return (await mustRun(['losetup', '--associated', disk])).trim() === '';
    });
    await mustRun(this.#inside(['mount', '-o', 'loop', disk, stateDirectory]));
  }

  /** MAJOR:MINOR of its block device. */
  async device(): Promise<string> {
    const { stateDirectory } = this.#paths;
    const mounts = await mustRun(this.#inside(['cat', '/proc/self/mountinfo']));
    const fields = mounts.split('\n').map((line) => line.split(' '));
    const device = fields.findLast((line) => line[4] === stateDirectory)?.[2];
    if (device !== undefined) return device;
    throw new SwarmError({ code: 'internal', reason: 'internal', message: `nothing is mounted at ${stateDirectory}` });
  }

  /** Not a byte is free afterwards. */
  async fill(): Promise<void> {
    const { exitCode, stderr } = await runCommand(this.#inside(['/bin/sh', '-c', FILL, 'fill', this.#filler]));
    if (exitCode === 0 || /No space left/.test(stderr)) return;
    throw new SwarmError({ code: 'internal', reason: 'internal', message: `cannot fill the disk: ${stderr.trim()}` });
  }

  async free(): Promise<void> {
    await mustRun(this.#inside(['rm', '-f', this.#filler]));
  }

  get #filler(): string {
    return `${this.#paths.stateDirectory}/${FILLER}`;
  }

  #inside(command: readonly string[]): readonly string[] {
    return ['nsenter', `--mount=${this.#paths.mounts}`, ...command];
  }
}

function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}
