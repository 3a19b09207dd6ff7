import { type ChildProcess, type SpawnOptions, spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { mkdir, rm, writeFile } from 'node:fs/promises';
import { unmount } from '#agent/kernel/mount.ts';
import { isNetworkNamespace } from '#agent/kernel/netns.ts';
import { SwarmError } from '#common/errors.ts';
import type { Fabric } from './fabric.ts';
import { clockEnvironment, setClock } from './host-clock.ts';
import { HostDaemon } from './host-daemon.ts';
import { HostDisk } from './host-disk.ts';
import { limitFiles, limitProcessor, limitWrites } from './host-limits.ts';
import { hostProcesses, killHostProcesses, makeHostCgroup, removeHostCgroups } from './host-processes.ts';
import { makeMountNamespace, removeMountNamespace } from './mount-namespace.ts';
import { FABRIC, FABRIC_ADDRESS, type HostPaths, hostPaths, type LabHostName, type LabRole } from './names.ts';
import { mustRun } from './run-command.ts';

/**
 * Puts itself into the cgroups named before "--", then becomes the command. A fixed text: all that varies comes in as
 * positional parameters, which a shell does not interpret.
 */
const JOIN_CGROUPS = 'while [ "$1" != -- ]; do echo $$ >"$1" || exit; shift; done; shift; exec "$@"';

const BOOT_ID = '/proc/sys/kernel/random/boot_id';

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
  /** A disk of its own for the state directory; undefined shares the machine's. */
  readonly diskMegabytes: number | undefined;
  /** Whether its daemon goes by a clock that can be set. */
  readonly clock: boolean;
}

/**
 * One host: a network, mount and UTS namespace, a cgroup around all its processes, directories that outlive a loss of
 * power and directories that do not. States: off (nothing but the state directory), on, on with its daemon.
 */
export class LabHost {
  readonly #options: LabHostOptions;
  readonly paths: HostPaths;
  readonly daemon: HostDaemon;
  readonly #disk: HostDisk | undefined;

  constructor(options: LabHostOptions) {
    const { lab, host, diskMegabytes } = options;
    this.#options = options;
    this.paths = hostPaths(lab, host.name);
    this.daemon = new HostDaemon(host.name, this.paths);
    this.#disk = diskMegabytes === undefined ? undefined : new HostDisk(this.paths, diskMegabytes);
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
    await this.#disk?.mount();
    if (this.#options.clock) await this.#makeClock();
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
    const { paths, name } = this;
    const command = [
      ...this.#options.daemon,
      ...['--state-dir', paths.stateDirectory, '--run-dir', paths.runDirectory, '--socket', paths.socket],
      ...['--cgroup-parent', paths.cgroupParent, '--hostname', name],
    ];
    // Set on the host, not on the way there: what leads there must not go by the clock.
    const clock = this.#options.clock ? Object.entries(await clockEnvironment(paths.clock)) : [];
    const environment = clock.length === 0 ? [] : ['env', ...clock.map(([name, value]) => `${name}=${value}`)];
    await this.daemon.start((options) => this.spawn([...environment, ...command], options));
  }

  /** The disk of its own. Throws `precondition` when it has none. */
  get disk(): HostDisk {
    if (this.#disk !== undefined) return this.#disk;
    throw this.#without('a disk', '--disk');
  }

  get hasDisk(): boolean {
    return this.#disk !== undefined;
  }

  get hasClock(): boolean {
    return this.#options.clock;
  }

  /** Sets the daemon's clock so many seconds ahead of the machine's. It sees that within a second. */
  async setClock(aheadSeconds: number): Promise<void> {
    if (!this.#options.clock) throw this.#without('a clock', '--clocks');
    await setClock(this.paths.clock, aheadSeconds);
  }

  /** So much processor time as this many processors have; undefined lifts the limit. */
  async limitProcessor(processors: number | undefined): Promise<void> {
    await limitProcessor(this.paths.cgroup, processors);
  }

  /** So many writes a second to the disk of its own; undefined lifts the limit. */
  async limitWrites(perSecond: number | undefined): Promise<void> {
    await limitWrites(this.paths.cgroup, await this.disk.device(), perSecond);
  }

  /** Gives its network card the address that it has been given in the lab; connections of the old one are dead. */
  async takeAddress(): Promise<void> {
    if (this.isOn()) await this.#options.fabric.readdress(this.#options.host);
  }

  /** Tells it where all the hosts are. */
  async writeHostsFile(): Promise<void> {
    if (this.isOn()) await writeFile(`${this.paths.volatile}/hosts`, this.#hostsFile());
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
      ...['/bin/sh', '-c', JOIN_CGROUPS, 'lab'],
      ...[await makeHostCgroup(paths.cgroup), ...(await limitFiles(paths.cgroup)), '--'],
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

  async #makeClock(): Promise<void> {
    await setClock(this.paths.clock, 0);
    // A process that goes by it and is killed leaves its shared memory: here it goes with the host.
    await mustRun(['nsenter', `--mount=${this.paths.mounts}`, 'mount', '-t', 'tmpfs', 'lab', '/dev/shm']);
  }

  async #overlayFile(path: string, name: string, text: string): Promise<void> {
    const file = `${this.paths.volatile}/${name}`;
    await writeFile(file, text, { mode: 0o644 });
    await mustRun(['nsenter', `--mount=${this.paths.mounts}`, 'mount', '--bind', file, path]);
  }

  #without(what: string, flag: string): SwarmError {
    return new SwarmError({
      code: 'precondition',
      reason: 'unknown-object',
      message: `the host ${this.name} has not got ${what} of its own`,
      hint: `start the lab with ${flag}`,
    });
  }
}
