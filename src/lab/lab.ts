import { type ChildProcess, type SpawnOptions, spawn } from 'node:child_process';
import { mkdir } from 'node:fs/promises';
import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { hasErrno } from '#agent/kernel/libc.ts';
import { MOUNT_FLAGS, mount, setPropagation } from '#agent/kernel/mount.ts';
import { SwarmError } from '#common/errors.ts';
import { type Cut, type CutDirection, Fabric } from './fabric.ts';
import { type Flapping, type FlapTimes, startFlapping } from './flapping.ts';
import { type LabDescription, labNames, readDescription, writeDescription } from './lab-description.ts';
import { LabHost } from './lab-host.ts';
import { checkAddress, checkLabName, FABRIC, hostNames, labPaths } from './names.ts';
import { removeLab } from './remove-lab.ts';
import { type CommandOptions, type CommandResult, runCommand } from './run-command.ts';
import { formSwarm, inParallel } from './swarm-setup.ts';
import { waitUntil } from './wait-until.ts';

/** The launchers of this project. */
const PROGRAMS = fileURLToPath(new URL('../../bin', import.meta.url));

export const DEFAULT_DAEMON = `${PROGRAMS}/swarmd`;

export interface LabOptions {
  readonly managers: number;
  readonly workers: number;
  /** Tells labs on one machine apart: small letters and digits. */
  readonly name?: string;
  /** Program and first arguments of the daemon; it gets the options of `swarmd`. */
  readonly daemon?: readonly string[];
  /** Gives every host a disk of its own for its state directory, which can be filled and slowed down. */
  readonly diskMegabytes?: number | undefined;
  /** Gives every daemon a clock of its own, which can be set. */
  readonly clocks?: boolean;
  /** Whether the hosts shall form a swarm. */
  readonly formSwarm?: boolean;
  readonly progress?: (message: string) => void;
}

export interface HostStatus {
  readonly name: string;
  readonly role: 'manager' | 'worker';
  readonly address: string;
  readonly on: boolean;
  readonly daemonPid: number | undefined;
  readonly paused: boolean;
  readonly processes: number;
  /** Whom it is cut from; "*" is everybody. Behind it " in" or " out" where only that way is cut, as this host sees it. */
  readonly cutFrom: readonly string[];
}

export const DEFAULT_LAB_NAME = 'lab';

/** Many hosts on one machine; see docs/lab.md. Needs root. */
export class Lab {
  #description: LabDescription;
  readonly #fabric: Fabric;
  #hosts: ReadonlyMap<string, LabHost>;

  private constructor(description: LabDescription) {
    this.#description = description;
    this.#fabric = new Fabric(description.name);
    this.#hosts = hostsOf(description, this.#fabric);
  }

  /** Makes a lab and starts its daemons. When that fails nothing of it stays. Errors: `duplicate-name`, `bad-field`. */
  static async up(options: LabOptions): Promise<Lab> {
    const name = options.name ?? DEFAULT_LAB_NAME;
    checkLabName(name);
    if (process.getuid?.() !== 0)
      throw new SwarmError({
        code: 'precondition',
        reason: 'preflight',
        message: 'the lab makes network namespaces and mounts, which needs root',
        hint: 'run it as root',
      });
    const hosts = hostNames(options.managers, options.workers);
    const daemon = options.daemon ?? [DEFAULT_DAEMON];
    const { diskMegabytes, clocks = false } = options;
    const lab = new Lab({ name, hosts, daemon, daemons: {}, clocks, ...(diskMegabytes && { diskMegabytes }) });
    await lab.#claim();
    try {
      await lab.#build(options);
      return lab;
    } catch (error) {
      await lab.down();
      throw error;
    }
  }

  /** A lab that is there. Throws `unknown-object`. */
  static async open(name: string = DEFAULT_LAB_NAME): Promise<Lab> {
    return new Lab(await readDescription(name));
  }

  /** Names of all labs on this machine. */
  static names(): Promise<readonly string[]> {
    return labNames();
  }

  /** Takes a lab away, also one that is broken. Says whether there was anything. */
  static remove(name: string = DEFAULT_LAB_NAME): Promise<boolean> {
    return removeLab(name);
  }

  get name(): string {
    return this.#description.name;
  }

  /** m1, m2, ..., w1, w2, ... */
  get hosts(): readonly LabHost[] {
    return [...this.#hosts.values()];
  }

  /** Throws `unknown-object`. */
  host(name: string): LabHost {
    const host = this.#hosts.get(name);
    if (host !== undefined) return host;
    throw new SwarmError({
      code: 'not-found',
      reason: 'unknown-object',
      message: `the lab ${this.name} has no host ${JSON.stringify(name)}`,
      hint: `its hosts are ${[...this.#hosts.keys()].join(', ')}`,
    });
  }

  /** Runs a program on a host, or on the fabric ("fabric"), to its end; any exit code is an answer. */
  async exec(host: string, command: readonly string[], options: CommandOptions = {}): Promise<CommandResult> {
    if (host === FABRIC) return runCommand(this.#fabricCommand(command), options);
    const target = this.host(host);
    return runCommand(await target.commandLine(command), {
      ...options,
      env: { ...target.environment(), ...options.env },
    });
  }

  /** Starts a program on a host, or on the fabric. */
  async spawn(host: string, command: readonly string[], options: SpawnOptions = {}): Promise<ChildProcess> {
    if (host !== FABRIC) return this.host(host).spawn(command, options);
    const [file = '', ...args] = this.#fabricCommand(command);
    return spawn(file, args, options);
  }

  /** Runs `swarm ARGS` on a host. */
  swarm(host: string, args: readonly string[], options: CommandOptions = {}): Promise<CommandResult> {
    return this.exec(host, [`${PROGRAMS}/swarm`, ...args], options);
  }

  /** Cuts the wire between two hosts, or between one and everybody. Nobody is told; packets vanish. */
  async cut(host: string, other?: string, direction: CutDirection = 'both'): Promise<void> {
    this.#checkPair(host, other);
    await this.#fabric.cut({ host, other, direction });
  }

  /** Mends one cut, or all. */
  async heal(host?: string, other?: string): Promise<void> {
    if (host === undefined) {
      await this.#fabric.healAll();
      return;
    }
    this.#checkPair(host, other);
    await this.#fabric.heal(host, other);
  }

  /** Cuts a host off from everybody and heals that, again and again, until it is stopped. Ends healed. */
  flap(host: string, times: FlapTimes): Flapping {
    this.host(host);
    return startFlapping(times, {
      cut: () => this.cut(host),
      heal: () => this.heal(host),
    });
  }

  /** Limits the wire of a host, both ways; undefined lifts the limit. */
  async limitLink(host: string, kilobitsPerSecond: number | undefined): Promise<void> {
    this.host(host);
    await this.#fabric.limit(host, kilobitsPerSecond);
  }

  cuts(): Promise<readonly Cut[]> {
    return this.#fabric.cuts();
  }

  /** Power loss: every process of the host dies at once, its run directory is lost, its state directory stays. */
  async kill(host: string): Promise<void> {
    await this.host(host).powerOff();
  }

  /** Powers a host on if it is off, and starts its daemon if that does not run. */
  async start(host: string): Promise<void> {
    const target = this.host(host);
    await target.boot();
    await target.startDaemon();
  }

  /** Ends the daemon of a host and nothing else of it: at once, or in order with SIGTERM. */
  async killDaemon(host: string, signal: NodeJS.Signals = 'SIGKILL'): Promise<void> {
    await this.host(host).daemon.end(signal);
  }

  async stopDaemon(host: string): Promise<void> {
    await this.killDaemon(host, 'SIGTERM');
  }

  /** Program and arguments of the host's daemon. */
  daemonOf(host: string): readonly string[] {
    this.host(host);
    return this.#description.daemons[host] ?? this.#description.daemon;
  }

  /** Another daemon for this host, from its next start on; undefined is that of the lab. */
  async setDaemon(host: string, daemon: readonly string[] | undefined): Promise<void> {
    this.host(host);
    const { [host]: _, ...daemons } = this.#description.daemons;
    await this.#describe({ daemons: daemon === undefined ? daemons : { ...daemons, [host]: daemon } });
  }

  /** Gives the host another address, now. Its daemon is not told. */
  async readdress(host: string, address: string): Promise<void> {
    checkAddress(address);
    this.host(host);
    const hosts = this.#description.hosts.map((one) => (one.name === host ? { ...one, address } : one));
    await this.#describe({ hosts });
    await this.host(host).takeAddress();
    for (const one of this.hosts) await one.writeHostsFile();
  }

  /** Undoes every fault but a loss of power and an ended daemon: see `start`. */
  async undoFaults(): Promise<void> {
    await this.heal();
    const hosts = this.hosts.filter((host) => host.isOn());
    await inParallel(hosts, async (host) => {
      await host.daemon.continue();
      await this.limitLink(host.name, undefined);
      await host.limitProcessor(undefined);
      if (host.hasClock) await host.setClock(0);
      if (!host.hasDisk) return;
      await host.limitWrites(undefined);
      await host.disk.free();
    });
  }

  async status(): Promise<readonly HostStatus[]> {
    const cuts = await this.cuts();
    const statuses: HostStatus[] = [];
    for (const host of this.hosts) {
      const { name, role, address } = host;
      const on = host.isOn();
      statuses.push({
        name,
        role,
        address,
        on,
        daemonPid: on ? await host.daemon.pid() : undefined,
        paused: on && (await host.daemon.isPaused()),
        processes: on ? await host.processes() : 0,
        cutFrom: cuts.flatMap((cut) => cutSeenBy(cut, name)),
      });
    }
    return statuses;
  }

  /** Looks until `check` answers yes; rejects with `timeout`, naming `what`. */
  waitFor(what: string, timeoutMs: number, check: () => Promise<boolean>): Promise<void> {
    return waitUntil(what, timeoutMs, check);
  }

  /** Everything of the lab is gone afterwards. */
  async down(): Promise<void> {
    await removeLab(this.name);
  }

  async #claim(): Promise<void> {
    const paths = labPaths(this.name);
    try {
      // What is left of a broken lab counts as one: the hint below removes it.
      for (const directory of [paths.state, paths.run]) {
        await mkdir(dirname(directory), { recursive: true, mode: 0o700 });
        await mkdir(directory, { mode: 0o700 });
      }
    } catch (cause) {
      if (!hasErrno(cause, 'EEXIST')) throw cause;
      throw new SwarmError({
        code: 'exists',
        reason: 'duplicate-name',
        message: `the lab ${JSON.stringify(this.name)} is there already`,
        hint: `take it down with: lab down --name ${this.name}; or choose another --name`,
        cause,
      });
    }
    await writeDescription(this.#description);
  }

  async #build(options: LabOptions): Promise<void> {
    const progress = options.progress ?? (() => {});
    const { networks, pins } = labPaths(this.name);
    for (const [directory, propagation] of [
      [networks, MOUNT_FLAGS.shared],
      [pins, MOUNT_FLAGS.private],
    ] as const) {
      await mkdir(directory, { mode: 0o700 });
      await mount({ source: directory, target: directory, type: '', flags: MOUNT_FLAGS.bind });
      await setPropagation(directory, propagation);
    }
    await this.#fabric.make();
    // One after the other: each takes a copy of the mounts of the moment.
    for (const host of this.hosts) await host.boot();
    await inParallel(this.hosts, async (host) => {
      await host.startDaemon();
      progress(`${host.name}: daemon started, ${host.address}`);
    });
    if (options.formSwarm !== true) return;
    const swarmHosts = this.hosts.map((host) => ({
      name: host.name,
      address: host.address,
      role: host.role,
      swarm: (args: readonly string[]) => this.swarm(host.name, args),
    }));
    await formSwarm(swarmHosts, progress);
  }

  #fabricCommand(command: readonly string[]): readonly string[] {
    return ['nsenter', `--net=${this.#fabric.path}`, ...command];
  }

  async #describe(change: Partial<LabDescription>): Promise<void> {
    this.#description = { ...this.#description, ...change };
    await writeDescription(this.#description);
    this.#hosts = hostsOf(this.#description, this.#fabric);
  }

  #checkPair(host: string, other: string | undefined): void {
    this.host(host);
    if (other !== undefined) this.host(other);
    if (host !== other) return;
    throw new SwarmError({
      code: 'invalid',
      reason: 'bad-field',
      field: 'HOST',
      message: `a host cannot be cut from itself (${host})`,
    });
  }
}

function hostsOf(description: LabDescription, fabric: Fabric): ReadonlyMap<string, LabHost> {
  const { name: lab, hosts, daemon, daemons, diskMegabytes, clocks: clock } = description;
  return new Map(
    hosts.map((host) => [
      host.name,
      new LabHost({
        ...{ lab, host, hosts, fabric, diskMegabytes, clock },
        daemon: daemons[host.name] ?? daemon,
        programs: PROGRAMS,
      }),
    ]),
  );
}

const OPPOSITE = { both: 'both', in: 'out', out: 'in' } as const satisfies Record<CutDirection, CutDirection>;

/** Nothing when the host is not concerned. */
function cutSeenBy(cut: Cut, host: string): readonly string[] {
  if (cut.host !== host && cut.other !== host) return [];
  const from = cut.other === undefined ? '*' : cut.host === host ? cut.other : cut.host;
  const direction = cut.host === host ? cut.direction : OPPOSITE[cut.direction];
  return [direction === 'both' ? from : `${from} ${direction}`];
}
