/** Mounting by the programs of the system: in a process of its own, which a server that is gone may keep for ever. */
import { readFile, rm, writeFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { runProcess } from '#agent/kernel/run-process.ts';
import {
  type MountInfo,
  mountsBelow,
  PROGRAM_ENVIRONMENT,
  parseMountInfo,
  requireProgram,
} from '#agent/runtime/index.ts';
import { SwarmError } from '#common/errors.ts';

const OUTPUT_BYTES = 4096;

export interface ProgramMount {
  readonly type: string;
  readonly device: string;
  readonly target: string;
  readonly options: readonly string[];
  readonly timeoutMs: number;
}

/**
 * Without helpers (`mount.nfs`): mount(2) with these options, as Docker does it. The options may hold a password, which every
 * user of the host could read on a command line: the program is given them in a file that only we can read.
 */
export async function mountByProgram(mount: ProgramMount): Promise<void> {
  const { type, device, target, timeoutMs } = mount;
  const file = await requireProgram('mount', 'mount');
  // No volume has a name that begins with a dot.
  const table = join(dirname(target), `.${basename(target)}.table`);
  await rm(table, { force: true });
  await writeFile(table, mountTable(mount), { mode: 0o600, flag: 'wx' });
  const result = await runProcess({
    file,
    args: mountArguments(mount, table),
    env: { ...PROGRAM_ENVIRONMENT, LC_ALL: 'C' },
    timeoutMs,
    outputBytesMax: OUTPUT_BYTES,
  })
    .catch((error: unknown) => {
      if (error instanceof SwarmError && error.reason === 'timeout')
        throw failed(`mounting ${device} did not end within ${timeoutMs / 1000} s`, 'check that its server answers');
      throw error;
    })
    .finally(() => {
      void rm(table, { force: true });
    });
  if (result.exitCode !== 0)
    throw failed(
      `cannot mount ${device} (type ${type}): ${complaint(result.stderr)}`,
      'check the options of the volume',
    );
}

/** What everybody on the host may see of a mount. */
export function mountArguments({ target }: ProgramMount, table: string): readonly string[] {
  return ['-i', '--fstab', table, '--target', target];
}

/** The mount as fstab(5) has it, in one line whatever the fields hold. */
export function mountTable({ device, target, type, options }: ProgramMount): string {
  const fields = [device, target, type, options.length === 0 ? 'defaults' : options.join(',')];
  return `${fields.map(inTable).join(' ')} 0 0\n`;
}

function inTable(text: string): string {
  return text.replaceAll(
    /[ \t\n\v\f\r\\#]/g,
    (character) => `\\${character.charCodeAt(0).toString(8).padStart(3, '0')}`,
  );
}

/** Detaches what does not let go in time. Nothing mounted there is no error. */
export async function unmountByProgram(target: string, timeoutMs: number): Promise<void> {
  const file = await requireProgram('umount', 'mount');
  for (const flags of [['-i'], ['-i', '-l']]) {
    if (!(await isMounted(target))) return;
    const result = await runProcess({
      file,
      args: [...flags, '--', target],
      env: { ...PROGRAM_ENVIRONMENT, LC_ALL: 'C' },
      timeoutMs,
      outputBytesMax: OUTPUT_BYTES,
    }).catch(() => undefined);
    if (result?.exitCode === 0 && !(await isMounted(target))) return;
  }
  if (await isMounted(target))
    throw failed(`cannot unmount ${target}`, 'look for what has it open: fuser -vm', 'internal');
}

export async function isMounted(target: string): Promise<boolean> {
  return (await allMounts()).some((mount) => mount.target === target);
}

/** Whether the host has something mounted there, in the mount namespace that it began with. */
export async function isMountedOutside(target: string): Promise<boolean> {
  const text = await readFile('/proc/1/mountinfo', 'utf8').catch(() => '');
  return parseMountInfo(text).some((mount) => mount.target === target);
}

/** Innermost first. */
export async function mountTargetsBelow(directory: string): Promise<readonly string[]> {
  return mountsBelow(await allMounts(), directory);
}

async function allMounts(): Promise<readonly MountInfo[]> {
  return parseMountInfo(await readFile('/proc/self/mountinfo', 'utf8'));
}

function complaint(text: string): string {
  const lines = text.split('\n').map((line) => line.trim());
  // Newer programs end with a word on where more may be said.
  const line = lines.findLast((one) => one !== '' && !one.startsWith('dmesg(1)')) ?? '';
  return line.replace(/^mount: /, '') || 'no reason was given';
}

function failed(message: string, hint: string, code: 'precondition' | 'internal' = 'precondition'): SwarmError {
  return new SwarmError({ code, reason: 'runtime-failed', message, hint });
}
