/**
 * Who this host was: `<state>/former`, which is `node` as it was when the host left. Only its key is of use: it proves to
 * a manager that the host that joins is the node that left. The directory goes with the next join that succeeds.
 */
import type { KeyObject } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { decodeKeyFile } from '#certs/key-file.ts';
import { compareHomes } from './home-check.ts';
import type { MachineFacts } from './machine-facts.ts';
import { decodeNodeState } from './node-state.ts';

export interface FormerIdentity {
  readonly certificatePem: Uint8Array;
  readonly privateKey: KeyObject;
}

export function formerDirectory(stateDirectory: string): string {
  return join(stateDirectory, 'former');
}

/** Undefined where it is not there, is damaged, is encrypted, or was copied from another machine, whose node it is. */
export async function readFormer(stateDirectory: string, facts: MachineFacts): Promise<FormerIdentity | undefined> {
  const directory = formerDirectory(stateDirectory);
  try {
    const statePath = join(directory, 'state.json');
    const { home } = decodeNodeState(await readFile(statePath, 'utf8'), statePath);
    // A directory that was moved has another inode, and is this host's all the same.
    if (compareHomes(home, { ...facts, inode: home.inode }).kind === 'other-machine') return undefined;
    const keyPath = join(directory, 'node.key');
    const { privateKey } = decodeKeyFile(await readFile(keyPath), keyPath);
    return { certificatePem: await readFile(join(directory, 'node.crt')), privateKey };
  } catch {
    return undefined; // this host joins as a new node
  }
}
