/** The daemon of a lab host as a process: started, paused, ended, found again by whoever opens the lab later. */
import type { ChildProcess, SpawnOptions } from 'node:child_process';
import { open, readFile, rm, writeFile } from 'node:fs/promises';
import { hasErrno } from '#agent/kernel/libc.ts';
import { SwarmError } from '#common/errors.ts';
import { socketAnswers } from '#common/system/socket-answers.ts';
import { LAB_CONFIG } from './config.ts';
import type { HostPaths } from './names.ts';
import { waitUntil } from './wait-until.ts';

const LOG_TAIL_BYTES = 2000;

interface RunningDaemon {
  readonly pid: number;
  /** Clock ticks since boot, from /proc: a process id alone may belong to somebody else by now. */
  readonly startTime: string;
}

export class HostDaemon {
  readonly #host: string;
  readonly #paths: HostPaths;

  constructor(host: string, paths: HostPaths) {
    this.#host = host;
    this.#paths = paths;
  }

  /** Starts it and waits until its socket answers. One that runs is left alone. */
  async start(spawn: (options: SpawnOptions) => Promise<ChildProcess>): Promise<void> {
    if ((await this.pid()) !== undefined) return;
    const log = await open(this.#paths.log, 'a', 0o600);
    try {
      await rm(this.#paths.socket, { force: true });
      const child = await spawn({ detached: true, stdio: ['ignore', log.fd, log.fd] });
      const ended = new Promise<string>((resolve) => {
        child.once('exit', (code, signal) => resolve(`it ended with ${signal ?? `exit code ${code}`}`));
        child.once('error', (error) => resolve(error.message));
      });
      child.unref();
      if (child.pid === undefined) throw await this.#failed(await ended);
      await this.#remember(child.pid);
      await this.#waitForSocket(ended);
    } finally {
      await log.close();
    }
  }

  /** Sends it a signal and waits for its end; containers are its own affair. None running is no error. */
  async end(signal: NodeJS.Signals): Promise<void> {
    const pid = await this.pid();
    if (pid === undefined) return;
    process.kill(pid, signal);
    const timeoutMs = signal === 'SIGKILL' ? LAB_CONFIG.killMs : LAB_CONFIG.stopMs;
    await waitUntil(`the daemon of ${this.#host} to end`, timeoutMs, async () => (await this.pid()) === undefined);
  }

  /** Stops it in its tracks: it does nothing, and sees nothing of the time that passes. */
  async pause(): Promise<void> {
    await this.#signalAndSee('SIGSTOP', true);
  }

  /** It goes on. One that was not paused, or does not run, is no error. */
  async continue(): Promise<void> {
    if ((await this.pid()) !== undefined) await this.#signalAndSee('SIGCONT', false);
  }

  /** Its process id; undefined when it does not run. */
  async pid(): Promise<number | undefined> {
    try {
      const daemon = JSON.parse(await readFile(this.#paths.daemon, 'utf8')) as RunningDaemon;
      return (await processFacts(daemon.pid))?.startTime === daemon.startTime ? daemon.pid : undefined;
    } catch (error) {
      if (hasErrno(error, 'ENOENT') || error instanceof SyntaxError) return undefined;
      throw error;
    }
  }

  async isPaused(): Promise<boolean> {
    const pid = await this.pid();
    return pid !== undefined && (await processFacts(pid))?.state === 'T';
  }

  async #signalAndSee(signal: NodeJS.Signals, paused: boolean): Promise<void> {
    const pid = await this.pid();
    if (pid === undefined)
      throw new SwarmError({
        code: 'precondition',
        reason: 'unknown-object',
        message: `the daemon of ${this.#host} does not run`,
        hint: `start it with: lab start ${this.#host}`,
      });
    process.kill(pid, signal);
    const what = `the daemon of ${this.#host} to ${paused ? 'stop' : 'go on'}`;
    await waitUntil(what, LAB_CONFIG.killMs, async () => (await this.isPaused()) === paused);
  }

  async #remember(pid: number): Promise<void> {
    const daemon: RunningDaemon = { pid, startTime: (await processFacts(pid))?.startTime ?? '' };
    await writeFile(this.#paths.daemon, JSON.stringify(daemon));
  }

  async #waitForSocket(ended: Promise<string>): Promise<void> {
    let end: string | undefined;
    ended.then(
      (how) => {
        end = how;
      },
      () => {},
    );
    try {
      await waitUntil(`the daemon of ${this.#host} to answer`, LAB_CONFIG.daemonStartMs, async () => {
        return end !== undefined || (await socketAnswers(this.#paths.socket));
      });
    } catch (error) {
      throw await this.#failed(SwarmError.from(error).message);
    }
    if (end !== undefined) throw await this.#failed(end);
  }

  async #failed(why: string): Promise<SwarmError> {
    const log = await readFile(this.#paths.log, 'utf8').catch(() => '');
    return new SwarmError({
      code: 'unavailable',
      reason: 'daemon-unreachable',
      message: `the daemon of ${this.#host} did not start: ${why}\n${log.slice(-LOG_TAIL_BYTES).trim()}`,
      hint: `its whole log is ${this.#paths.log}`,
    });
  }
}

/** State and start time of a process; undefined when there is none, or only its remains. */
async function processFacts(pid: number): Promise<{ readonly state: string; readonly startTime: string } | undefined> {
  const status = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '');
  // The name, in parentheses, may hold anything: count from behind it.
  const fields = status.slice(status.lastIndexOf(')') + 2).split(' ');
  const [state = ''] = fields;
  const startTime = fields[19];
  return startTime === undefined || state === 'Z' || state === 'X' ? undefined : { state, startTime };
}
