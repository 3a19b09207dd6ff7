/** The daemon's own mount namespace: see docs/runtime.md for why. */
import { enterMountNamespace, removeMountNamespace } from '#agent/runtime/index.ts';

/** Replaces this process by itself inside the namespace; returns only when inside. */
export async function enterOwnMounts(runDir: string): Promise<void> {
  await enterMountNamespace(runDir);
}

/** Unpins the namespace. It goes with the last process in it. */
export async function leaveMounts(runDir: string): Promise<void> {
  await removeMountNamespace(runDir);
}
