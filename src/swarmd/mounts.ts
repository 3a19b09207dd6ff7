/** The daemon's own mount namespace: see docs/runtime.md for why. */
import { rmdir } from 'node:fs/promises';
import { enterMountNamespace, removeMountNamespace } from '#agent/runtime/index.ts';

/** Replaces this process by itself inside the namespace; returns only when inside. */
export async function enterOwnMounts(runDir: string): Promise<void> {
  await enterMountNamespace(runDir);
}

/** Unpins the namespace, which goes with the last process in it, and removes the run directory if nothing is in it. */
export async function leaveMounts(runDir: string): Promise<void> {
  await removeMountNamespace(runDir);
  await rmdir(runDir).catch(() => {}); // somebody else's file is not ours to remove
}
