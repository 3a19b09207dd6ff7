/** Mounting by the programs of the system: in a process of its own, which a server that is gone may keep for ever. */
import { readFile } from 'node:fs/promises';
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

/** Without helpers (`mount.nfs`): mount(2) with these options, as Docker does it. */
export async function mountByProgram({ type, device, target, options, timeoutMs }: ProgramMount): Promise<void> {
  const file = await requireProgram('mount', 'mount');
  const args = ['-i', '-t', type, ...(options.length === 0 ? [] : ['-o', options.join(',')])];
  const result = await runProcess({
    file,
    args: [...args, '--source', device, '--target', target],
    env: { ...PROGRAM_ENVIRONMENT, LC_ALL: 'C' },
    timeoutMs,
    outputBytesMax: OUTPUT_BYTES,
  }).catch((error: unknown) => {
    // Options may hold a password: they are not repeated.
    if (error instanceof SwarmError && error.reason === 'timeout')
      throw failed(`mounting ${device} did not end within ${timeoutMs / 1000} s`, 'check that its server answers');
    throw error;
  });
  if (result.exitCode !== 0)
    throw failed(
      `cannot mount ${device} (type ${type}): ${complaint(result.stderr)}`,
      'check the options of the volume',
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
  const line = text.trim().split('\n').at(-1) ?? '';
  return line.replace(/^mount: /, '') || 'no reason was given';
}

function failed(message: string, hint: string, code: 'precondition' | 'internal' = 'precondition'): SwarmError {
  return new SwarmError({ code, reason: 'runtime-failed', message, hint });
}
