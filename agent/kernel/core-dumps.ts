/** Whether the kernel writes this process's memory to a file when it crashes. A manager has keys in its memory. */
import { checked, libcFunction } from './libc.ts';

const PR_GET_DUMPABLE = 3;
const PR_SET_DUMPABLE = 4;

/**
 * From now on no core dump of this process is written, by the kernel or by a program that it starts for that, whatever the
 * limits are. What it executes is not concerned: a container's program dumps as it is allowed to.
 */
export function forbidCoreDumps(): void {
  const prctl = prctlFunction();
  checked(prctl(PR_SET_DUMPABLE, 0, 0, 0, 0), 'prctl', 'PR_SET_DUMPABLE');
}

export function mayDumpCore(): boolean {
  return checked(prctlFunction()(PR_GET_DUMPABLE, 0, 0, 0, 0), 'prctl', 'PR_GET_DUMPABLE') !== 0;
}

function prctlFunction(): (option: number, ...values: [number, number, number, number]) => number {
  return libcFunction<[number, number, number, number, number]>('prctl', 'int', [
    'int',
    'long',
    'long',
    'long',
    'long',
  ]);
}
