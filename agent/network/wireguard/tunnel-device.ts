/**
 * The WireGuard device in the host's namespace: the kernel's where there is one, else that of wireguard-go, a process of
 * its own that outlives the daemon and ends with the device.
 */
import { access, constants, rm, writeFile } from 'node:fs/promises';
import type { Clock } from '#common/clock.ts';
import { SwarmError } from '#common/errors.ts';
import { setLinkMtu } from '../../kernel/link-mtu.ts';
import type { NetlinkSocket } from '../../kernel/netlink.ts';
import { addAddress, deleteAddress, listAddresses } from '../../kernel/netlink-address.ts';
import { addLink, deleteLink, findLink, type Link, setLinkUp } from '../../kernel/netlink-link.ts';
import { deleteRoute, listRoutes, MAIN_TABLE, replaceRoute } from '../../kernel/netlink-route.ts';
import { type ProcessResult, runProcess } from '../../kernel/run-process.ts';
import type { WireGuardConfig } from './config.ts';
import { parseDump, parseHandshakes, type TunnelState } from './tunnel-settings.ts';

/** Absolute paths; undefined where the program is not installed. */
export interface WireGuardPrograms {
  readonly wg: string | undefined;
  readonly wireguardGo: string | undefined;
}

export interface TunnelDeviceOptions {
  /** At most 15 characters. */
  readonly name: string;
  /** For a moment holds the settings with the private key. Below the run directory, of mode 0700. */
  readonly settingsFile: string;
  readonly programs: WireGuardPrograms;
  readonly config: WireGuardConfig;
  readonly clock: Clock;
}

const TUN_DEVICE = '/dev/net/tun';
const OUTPUT_BYTES_MAX = 4 * 1024 * 1024;
const PROGRAM_ENVIRONMENT = { PATH: '/usr/sbin:/usr/bin:/sbin:/bin', LOG_LEVEL: 'error' };

export class TunnelDevice {
  readonly #options: TunnelDeviceOptions;
  readonly #socket: NetlinkSocket;

  /** @param socket a routing socket in the host's namespace, which stays the caller's */
  constructor(options: TunnelDeviceOptions, socket: NetlinkSocket) {
    this.#options = options;
    this.#socket = socket;
  }

  /** Why no tunnel can be made on this host; undefined where it can. */
  async problem(): Promise<string | undefined> {
    const { wg, wireguardGo } = this.#options.programs;
    if (wg === undefined) return 'the program wg is not installed (Debian package wireguard-tools)';
    if (await this.#kernelHasIt()) return undefined;
    if (wireguardGo === undefined)
      return 'the kernel has no WireGuard and wireguard-go is not installed (Debian package wireguard-go)';
    return access(TUN_DEVICE, constants.R_OK | constants.W_OK).then(
      () => undefined,
      () => `the kernel has no WireGuard, and ${TUN_DEVICE} cannot be opened`,
    );
  }

  /** The device, made if need be. Says whether it had to be. */
  async ensure(mtu: number): Promise<{ readonly link: Link; readonly isNew: boolean }> {
    const { name } = this.#options;
    const found = await findLink(this.#socket, name);
    const isNew = found === undefined;
    if (isNew) await this.#make(mtu);
    const link = found ?? (await findLink(this.#socket, name));
    if (link === undefined) throw failed(`the device ${name} is not there after it was made`);
    if (link.mtu !== mtu) await this.#socket.execute([setLinkMtu(link.index, mtu)]);
    return { link, isNew };
  }

  /** Undefined when the device does not answer: its process is gone or hangs. */
  async state(): Promise<TunnelState | undefined> {
    const dump = await this.#dump();
    return dump === undefined ? undefined : parseDump(dump);
  }

  /** See `parseHandshakes`; undefined when the device does not answer. */
  async handshakes(): Promise<ReadonlyMap<string, number> | undefined> {
    const dump = await this.#dump();
    return dump === undefined ? undefined : parseHandshakes(dump);
  }

  async #dump(): Promise<string | undefined> {
    const { exitCode, stdout } = await this.#wg(['show', this.#options.name, 'dump']);
    return exitCode === 0 ? stdout : undefined;
  }

  /** Undefined when there is none. */
  find(): Promise<Link | undefined> {
    return findLink(this.#socket, this.#options.name);
  }

  /** Makes keys and peers those of the text; sessions of peers that stay go on. */
  async configure(text: string): Promise<void> {
    const { name, settingsFile } = this.#options;
    await writeFile(settingsFile, text, { mode: 0o600 });
    try {
      const { exitCode, stderr } = await this.#wg(['syncconf', name, settingsFile]);
      if (exitCode !== 0) throw failed(`wg: ${stderr.trim()}`);
    } finally {
      await rm(settingsFile, { force: true }); // the private key is not left lying about
    }
  }

  /** Up, with this address and routes to these others, and no more. Returns whether anything had to change, or has to. */
  async route(link: Link, own: string, others: ReadonlySet<string>, mode?: 'look only'): Promise<boolean> {
    const routes = (await listRoutes(this.#socket)).filter(
      (route) => route.linkIndex === link.index && route.table === MAIN_TABLE,
    );
    const addresses = (await listAddresses(this.#socket)).filter((one) => one.linkIndex === link.index);
    const destinations = new Set(routes.map((route) => route.destination));
    const wanted = [...others].map((address) => `${address}/32`);
    const missing = link.up ? wanted.filter((one) => !destinations.has(one)) : wanted;
    const obsolete = [...destinations].filter((one) => !wanted.includes(one));
    const foreign = addresses.filter(({ address }) => address !== own);
    const hasOwn = addresses.some(({ address }) => address === own);
    if (link.up && hasOwn && missing.length + obsolete.length + foreign.length === 0) return false;
    if (mode !== undefined) return true;
    await this.#socket.execute([
      ...foreign.map(({ address }) => deleteAddress(link.index, `${address}/32`)),
      ...(hasOwn ? [] : [addAddress(link.index, `${own}/32`)]),
      ...(link.up ? [] : [setLinkUp(link.index)]),
      ...obsolete.map((destination) => deleteRoute(destination)),
      ...missing.map((destination) => replaceRoute({ destination, linkIndex: link.index, preferredSource: own })),
    ]);
    return true;
  }

  /** Removes the device, and with it the process behind it. None there is no error. */
  async remove(): Promise<void> {
    await this.#socket.execute([deleteLink(this.#options.name)]);
  }

  async #kernelHasIt(): Promise<boolean> {
    const { name } = this.#options;
    if (await findLink(this.#socket, name)) return true; // ours from before, of whichever kind
    try {
      await this.#socket.execute([addLink({ name, kind: 'wireguard' })]);
    } catch {
      return false;
    }
    await this.#socket.execute([deleteLink(name)]);
    return true;
  }

  async #make(mtu: number): Promise<void> {
    const { name, programs, config } = this.#options;
    try {
      await this.#socket.execute([addLink({ name, kind: 'wireguard', mtu })]);
      return;
    } catch (error) {
      if (programs.wireguardGo === undefined) throw error;
    }
    for (let attempt = 1; ; attempt++) {
      const problem = await this.#startProcess(programs.wireguardGo);
      if (problem === undefined) return;
      if (attempt >= config.makeAttempts) throw failed(problem);
      await new Promise<void>((resolve) => void this.#options.clock.setTimer(config.makeRetryMs, resolve));
    }
  }

  /** Why it did not come up; undefined when it did. */
  async #startProcess(file: string): Promise<string | undefined> {
    const { name, config } = this.#options;
    const { exitCode, stdout, stderr } = await runProcess({
      file,
      args: [name],
      env: PROGRAM_ENVIRONMENT,
      directory: '/',
      timeoutMs: config.programTimeoutMs,
      outputBytesMax: OUTPUT_BYTES_MAX,
    });
    if (exitCode === 0) return undefined;
    // It begins with advice in a box, whatever happens.
    const said = `${stderr}\n${stdout}`.split('\n').filter((line) => line.trim() !== '' && !/[│┌└]/.test(line));
    return `wireguard-go: ${said.at(-1)?.trim() ?? `it ended with exit code ${exitCode}`}`;
  }

  #wg(args: readonly string[]): Promise<ProcessResult> {
    const { programs, config } = this.#options;
    if (programs.wg === undefined) throw failed('the program wg is not installed (Debian package wireguard-tools)');
    return runProcess({
      file: programs.wg,
      args,
      env: PROGRAM_ENVIRONMENT,
      directory: '/',
      timeoutMs: config.programTimeoutMs,
      outputBytesMax: OUTPUT_BYTES_MAX,
    });
  }
}

function failed(message: string): SwarmError {
  return new SwarmError({
    code: 'internal',
    reason: 'network-failed',
    message: `cannot set up encryption: ${message}`,
  });
}
