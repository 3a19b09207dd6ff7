/** pidfd_open(2), pidfd_send_signal(2): a process by a handle that never comes to mean another one. */
import { checked, closeDescriptor, type DescriptorWatch, KernelError, libcFunction, watchReadable } from './libc.ts';
import { readProcess } from './process-status.ts';

// These numbers are the same on every architecture (all calls from 424 on are).
const SYS_PIDFD_SEND_SIGNAL = 424;
const SYS_PIDFD_OPEN = 434;

const pidfdOpen = libcFunction<[number, number, number]>('syscall', 'long', ['long', 'int', 'uint']);
const pidfdSendSignal = libcFunction<[number, number, number, null, number]>('syscall', 'long', [
  'long',
  'int',
  'int',
  'void *',
  'uint',
]);

export class ProcessHandle {
  readonly pid: number;
  /** Resolves when the process has ended (also when nobody has reaped it yet); never rejects. */
  readonly ended: Promise<void>;
  #descriptor: number | undefined;
  #watch: DescriptorWatch | undefined;
  #hasEnded = false;

  private constructor(pid: number, descriptor: number, keepsAlive: boolean) {
    this.pid = pid;
    this.#descriptor = descriptor;
    this.ended = new Promise((resolve) => {
      this.#watch = watchReadable(descriptor, keepsAlive, () => {
        this.#hasEnded = true;
        // The descriptor stays readable for ever: without this the loop would spin.
        this.#stopWatching();
        resolve();
      });
    });
  }

  /**
   * A handle on the process; undefined when there is none with this pid. With `keepsAlive`, waiting for its end keeps
   * our own process from ending for want of work.
   */
  static open(pid: number, keepsAlive = false): ProcessHandle | undefined {
    try {
      const descriptor = checked(pidfdOpen(SYS_PIDFD_OPEN, pid, 0), 'pidfd_open', String(pid));
      return new ProcessHandle(pid, descriptor, keepsAlive);
    } catch (error) {
      if (error instanceof KernelError && (error.code === 'ESRCH' || error.code === 'EINVAL')) return undefined;
      throw error;
    }
  }

  /**
   * A handle on exactly the process that had this pid and start time (clock ticks since boot, see `readProcess`);
   * undefined when it has ended, even if its pid is used again.
   */
  static openExact(pid: number, startTicks: number): ProcessHandle | undefined {
    const handle = ProcessHandle.open(pid);
    if (handle === undefined) return undefined;
    const found = readProcess(pid);
    // Read after opening: if it is the right one now, the handle, being older, can mean no other.
    if (found?.startTicks === startTicks && found.state !== 'Z') return handle;
    handle.close();
    return undefined;
  }

  get hasEnded(): boolean {
    return this.#hasEnded;
  }

  /** Sends a signal; false when the process has ended. Throws a KernelError for a bad signal number. */
  signal(signal: number): boolean {
    if (this.#descriptor === undefined || this.#hasEnded) return false;
    try {
      checked(pidfdSendSignal(SYS_PIDFD_SEND_SIGNAL, this.#descriptor, signal, null, 0), 'pidfd_send_signal');
      return true;
    } catch (error) {
      if (error instanceof KernelError && error.code === 'ESRCH') return false;
      throw error;
    }
  }

  /** Lets go of the handle; `ended` then stays pending if it was. */
  close(): void {
    this.#stopWatching();
    if (this.#descriptor !== undefined) closeDescriptor(this.#descriptor);
    this.#descriptor = undefined;
  }

  #stopWatching(): void {
    this.#watch?.close();
    this.#watch = undefined;
  }
}
