/** What a lab is, as written down before anything of it is made. What it does is asked of the kernel. */
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { hasErrno } from '#agent/kernel/libc.ts';
import { SwarmError } from '#common/errors.ts';
import { LAB_CONFIG } from './config.ts';
import { type LabHostName, labPaths } from './names.ts';

export interface LabDescription {
  readonly name: string;
  readonly hosts: readonly LabHostName[];
  /** Program and first arguments of the daemon. */
  readonly daemon: readonly string[];
  /** Hosts that have another daemon than the rest. */
  readonly daemons: Readonly<Record<string, readonly string[]>>;
  /** Every host has a disk of its own, of this size. */
  readonly diskMegabytes?: number;
  /** Every host's daemon has a clock of its own. */
  readonly clocks: boolean;
}

export async function writeDescription(description: LabDescription): Promise<void> {
  await writeFile(labPaths(description.name).description, `${JSON.stringify(description, undefined, 2)}\n`);
}

/** Throws `unknown-object` when there is no such lab. */
export async function readDescription(name: string): Promise<LabDescription> {
  try {
    return JSON.parse(await readFile(labPaths(name).description, 'utf8')) as LabDescription;
  } catch (cause) {
    if (!hasErrno(cause, 'ENOENT') && !(cause instanceof SyntaxError)) throw cause;
    throw new SwarmError({
      code: 'not-found',
      reason: 'unknown-object',
      message: `there is no lab ${JSON.stringify(name)}`,
      hint: `start one with: lab up --name ${name}; what is left of a broken one goes with: lab down --name ${name}`,
      cause,
    });
  }
}

/** Names of all labs on this machine, whole or in pieces. */
export async function labNames(): Promise<readonly string[]> {
  const names = new Set<string>();
  for (const root of [LAB_CONFIG.runRoot, LAB_CONFIG.stateRoot])
    try {
      for (const name of await readdir(root)) names.add(name);
    } catch (error) {
      if (!hasErrno(error, 'ENOENT')) throw error;
    }
  return [...names].toSorted();
}
