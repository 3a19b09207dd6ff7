import { type ChildProcess, type SpawnOptions, spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { mkdir, open, readFile, rm, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { hasErrno } from '#agent/kernel/libc.ts';
import { unmount } from '#agent/kernel/mount.ts';
import { isNetworkNamespace } from '#agent/kernel/netns.ts';
import { SwarmError } from '#common/errors.ts';
import { LAB_CONFIG } from './config.ts';
import type { Fabric } from './fabric.ts';
import { hostProcesses, killHostProcesses, makeHostCgroup, removeHostCgroups } from './host-processes.ts';
import { makeMountNamespace, removeMountNamespace } from './mount-namespace.ts';
import { FABRIC, FABRIC_ADDRESS, type HostPaths, hostPaths, type LabHostName, type LabRole } from './names.ts';
import { mustRun } from './run-command.ts';
import { waitUntil } from './wait-until.ts';

/**
 * Puts itself into the cgroup named first, then becomes the command. A fixed text: all that varies comes in as
 * positional parameters, which a shell does not interpret.
 */
const JOIN_CGROUP = 'echo $$ >"$1" && shift && exec "$@"';

const BOOT_ID = '/proc/sys/kernel/random/boot_id';
const LOG_TAIL_BYTES = 2000;

export interface LabHostOptions {
  readonly lab: string;
  readonly host: LabHostName;
  readonly fabric: Fabric;
  /** All hosts of the lab, for /etc/hosts. */
  readonly hosts: readonly LabHostName[];
  /** The daemon's program and first arguments; the lab adds where it shall keep things. */
  readonly daemon: readonly string[];
  /** Directory of the swarm CLI, put first on the PATH of commands. */
  readonly programs: string;
}

interface RunningDaemon {
  readonly pid: number;
  /** Clock ticks since boot, from /proc: a process id alone may belong to somebody else by now. */
  readonly startTime: string;
}

/**
 * One host: a network, mount and UTS namespace, a cgroup around all its processes, directories that outlive a loss of
 * power and directories that do not. States: off (nothing but the state directory), on, on with its daemon.
 */
export class LabHost {
  readonly #options: LabHostOptions;
  readonly paths: HostPaths;

  constructor(options: LabHostOptions) {
    this.#options = options;
    this.paths = hostPaths(options.lab, options.host.name);
  }

  get name(): string {
    return this.#options.host.name;
  }

  get address(): string {
    return this.#options.host.address;
  }

  get role(): LabRole {
    return this.#options.host.role;
  }

  isOn(): boolean {
    return isNetworkNamespace(this.paths.network);
  }

  /** Power on: everything but the daemon. */
  async boot(): Promise<void> {
    if (this.isOn()) return;
    const { paths, name } = this;
    await mkdir(paths.runDirectory, { recursive: true, mode: 0o700 });
    await mkdir(paths.stateDirectory, { recursive: true, mode: 0o700 });
    await makeHostCgroup(paths.cgroup);
    await makeMountNamespace(paths.mounts);
    await writeFile(paths.uts, '');
    await mustRun(['unshare', `--uts=${paths.uts}`, 'true']);
    await mustRun(['nsenter', `--uts=${paths.uts}`, 'hostname', name]);
    // A host that comes back has booted: programs that ask the kernel must see that.
    await this.#overlayFile(BOOT_ID, 'boot-id', `${randomUUID()}\n`);
    await this.#overlayFile('/etc/hosts', 'hosts', this.#hostsFile());
    await this.#options.fabric.plug(this.#options.host);
  }

  /** Power off, without warning: processes, containers, namespaces and the run directory are gone. State stays. */
  async powerOff(): Promise<void> {
    const { paths } = this;
    await killHostProcesses(paths.cgroup);
    await removeHostCgroups(paths.cgroup);
    this.#options.fabric.unplug(this.name);
    await removeMountNamespace(paths.mounts);
    await unmount(paths.uts);
    await rm(paths.uts, { force: true });
    await rm(paths.volatile, { recursive: true, force: true });
  }

  /** Starts the daemon and waits until its socket answers. A daemon that runs is left alone. */
  async startDaemon(): Promise<void> {
    if ((await this.daemonPid()) !== undefined) return;
    const { paths, name } = this;
    const log = await open(paths.log, 'a', 0o600);
    try {
      const command = [
        ...this.#options.daemon,
        ...['--state-dir', paths.stateDirectory, '--run-dir', paths.runDirectory, '--socket', paths.socket],
        ...['--cgroup-parent', paths.cgroupParent, '--hostname', name],
      ];
      await rm(paths.socket, { force: true });
      const child = await this.spawn(command, { detached: true, stdio: ['ignore', log.fd, log.fd] });
      const ended = new Promise<string>((resolve) => {
        child.once('exit', (code, signal) => resolve(`it ended with ${signal ?? `exit code ${code}`}`));
        child.once('error', (error) => resolve(error.message));
      });
      child.unref();
      if (child.pid === undefined) throw await this.#daemonFailed(await ended);
      await this.#remember(child.pid);
      await this.#waitForSocket(ended);
    } finally {
      await log.close();
    }
  }

  /** Sends the daemon a signal and waits for its end; containers are its own affair. None running is no error. */
  async killDaemon(signal: NodeJS.Signals): Promise<void> {
    const pid = await this.daemonPid();
    if (pid === undefined) return;
    process.kill(pid, signal);
    await waitUntil(`the daemon of ${this.name} to end`, LAB_CONFIG.killMs, async () => {
      return (await this.daemonPid()) === undefined;
    });
  }

  /** The daemon's process id; undefined when it does not run. */
  async daemonPid(): Promise<number | undefined> {
    try {
      const daemon = JSON.parse(await readFile(this.paths.daemon, 'utf8')) as RunningDaemon;
      const found = await processStart(daemon.pid);
      return found === daemon.startTime ? daemon.pid : undefined;
    } catch (error) {
      if (hasErrno(error, 'ENOENT') || error instanceof SyntaxError) return undefined;
      throw error;
    }
  }

  /** How many processes the host has. */
  async processes(): Promise<number> {
    return (await hostProcesses(this.paths.cgroup)).length;
  }

  /** Starts a program on the host: in its namespaces and its cgroup. Rejects when the host is off. */
  async spawn(command: readonly string[], options: SpawnOptions = {}): Promise<ChildProcess> {
    const [file = '', ...args] = await this.commandLine(command);
    return spawn(file, args, { ...options, env: { ...process.env, ...this.environment(), ...options.env } });
  }

  /** What to run on this machine so that the command runs on the host. */
  async commandLine(command: readonly string[]): Promise<readonly string[]> {
    if (!this.isOn())
      throw new SwarmError({
        code: 'precondition',
        reason: 'unknown-object',
        message: `the host ${this.name} is off`,
        hint: `start it with: lab start ${this.name}`,
      });
    const { paths } = this;
    return [
      'nsenter',
      `--net=${paths.network}`,
      `--mount=${paths.mounts}`,
      `--uts=${paths.uts}`,
      `--wdns=${process.cwd()}`,
      ...['/bin/sh', '-c', JOIN_CGROUP, 'lab', await makeHostCgroup(paths.cgroup)],
      ...command,
    ];
  }

  /** For programs on the host: the swarm CLI finds the host's own daemon. */
  environment(): Readonly<Record<string, string>> {
    return {
      STARLING_SOCKET: this.paths.socket,
      LAB_HOST: this.name,
      PATH: `${this.#options.programs}:${process.env['PATH'] ?? '/usr/sbin:/usr/bin:/sbin:/bin'}`,
    };
  }

  #hostsFile(): string {
    const lines = ['127.0.0.1\tlocalhost', '::1\tlocalhost ip6-localhost ip6-loopback', `${FABRIC_ADDRESS}\t${FABRIC}`];
    for (const host of this.#options.hosts) lines.push(`${host.address}\t${host.name}`);
    return lines.map((line) => `${line}\n`).join('');
  }

  async #overlayFile(path: string, name: string, text: string): Promise<void> {
    const file = `${this.paths.volatile}/${name}`;
    await writeFile(file, text, { mode: 0o644 });
    await mustRun(['nsenter', `--mount=${this.paths.mounts}`, 'mount', '--bind', file, path]);
  }

  async #remember(pid: number): Promise<void> {
    const daemon: RunningDaemon = { pid, startTime: (await processStart(pid)) ?? '' };
    await writeFile(this.paths.daemon, JSON.stringify(daemon));
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
      await waitUntil(`the daemon of ${this.name} to answer`, LAB_CONFIG.daemonStartMs, async () => {
        return end !== undefined || (await answers(this.paths.socket));
      });
    } catch (error) {
      throw await this.#daemonFailed(SwarmError.from(error).message);
    }
    if (end !== undefined) throw await this.#daemonFailed(end);
  }

  async #daemonFailed(why: string): Promise<SwarmError> {
    const log = await readFile(this.paths.log, 'utf8').catch(() => '');
    return new SwarmError({
      code: 'unavailable',
      reason: 'daemon-unreachable',
      message: `the daemon of ${this.name} did not start: ${why}\n${log.slice(-LOG_TAIL_BYTES).trim()}`,
      hint: `its whole log is ${this.paths.log}`,
    });
  }
}

/** When the process started; undefined when there is none, or only its remains. */
async function processStart(pid: number): Promise<string | undefined> {
  const status = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '');
  // The name, in parentheses, may hold anything: count from behind it.
  const fields = status.slice(status.lastIndexOf(')') + 2).split(' ');
  return fields[0] === 'Z' || fields[0] === 'X' ? undefined : fields[19];
}

/** Whether somebody listens on the socket. */
function answers(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(path);
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });
}
