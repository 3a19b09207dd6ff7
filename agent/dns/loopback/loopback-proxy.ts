/**
 * Published ports on [::1] of the host. IPv6 has no way to route its loopback address to a task (there is no
 * route_localnet), so connections are carried to 127.0.0.1, where nftables takes over.
 */
import { hasErrno } from '#agent/kernel/libc.ts';
import type { CancelTimer, Clock } from '#common/clock.ts';
import type { Logger } from '#common/log.ts';
import type { LoopbackPort } from '#gen/swarm/v1/resolver.ts';
import { PortProtocol } from '#gen/swarm/v1/specs.ts';
import type { LoopbackConfig } from '../config.ts';
import { type ConnectionCount, TcpRelay } from './tcp-relay.ts';
import { UdpRelay } from './udp-relay.ts';

export interface LoopbackProxyOptions {
  readonly config: LoopbackConfig;
  readonly clock: Clock;
  readonly logger: Logger;
}

type Protocol = 'tcp' | 'udp';

interface Entry {
  readonly name: string;
  readonly relay: TcpRelay | UdpRelay;
  listening: boolean;
  warning: string;
}

function protocolOf(port: LoopbackPort): Protocol | undefined {
  switch (port.protocol) {
    case PortProtocol.UNSPECIFIED:
    case PortProtocol.TCP:
      return 'tcp';
    case PortProtocol.UDP:
      return 'udp';
    case PortProtocol.SCTP: // Node has no such sockets
      return undefined;
  }
}

export class LoopbackProxy {
  readonly #options: LoopbackProxyOptions;
  readonly #entries = new Map<string, Entry>();
  /** Ports that are gone while connections of theirs go on. */
  readonly #leaving = new Set<TcpRelay>();
  readonly #tcpTotal: ConnectionCount = { current: 0 };
  readonly #udpTotal: ConnectionCount = { current: 0 };
  #cancelRetry: CancelTimer | undefined;
  #closed = false;

  constructor(options: LoopbackProxyOptions) {
    this.#options = options;
  }

  /** TCP connections and UDP clients. */
  get connections(): number {
    return this.#tcpTotal.current + this.#udpTotal.current;
  }

  /** Ports that do not answer, in words. */
  get warnings(): readonly string[] {
    return [...this.#entries.values()].flatMap(({ warning }) => (warning === '' ? [] : [warning]));
  }

  /** Serves these ports and no others. Resolves after one try of each; what failed is tried again and again. */
  async serve(ports: readonly LoopbackPort[]): Promise<void> {
    const wanted = new Map<string, readonly [Protocol, number]>();
    for (const port of ports) {
      const protocol = protocolOf(port);
      if (protocol !== undefined && port.port > 0 && port.port < 65_536)
        wanted.set(`[::1]:${port.port}/${protocol}`, [protocol, port.port]);
    }
    for (const [name, entry] of this.#entries)
      if (!wanted.has(name)) {
        this.#entries.delete(name);
        this.#leave(entry);
      }
    for (const [name, [protocol, port]] of wanted)
      if (!this.#entries.has(name)) this.#entries.set(name, this.#entry(name, protocol, port));
    await this.#tryAll();
  }

  /** Takes nothing new; connections go on until they end, or until the time is over. */
  async retire(timeoutMs: number): Promise<void> {
    this.#closed = true;
    this.#cancelRetry?.();
    for (const entry of this.#entries.values()) this.#leave(entry);
    this.#entries.clear();
    const { clock } = this.#options;
    const endMs = clock.monotonic() + timeoutMs;
    while (this.#tcpTotal.current > 0 && clock.monotonic() < endMs)
      await new Promise<void>((resolve) => clock.setTimer(100, resolve));
    this.close();
  }

  close(): void {
    this.#closed = true;
    this.#cancelRetry?.();
    for (const { relay } of this.#entries.values()) relay.close();
    for (const relay of this.#leaving) relay.close();
    this.#entries.clear();
    this.#leaving.clear();
  }

  #entry(name: string, protocol: Protocol, port: number): Entry {
    const { config, clock } = this.#options;
    const relay =
      protocol === 'tcp'
        ? new TcpRelay(port, config, this.#tcpTotal)
        : new UdpRelay(port, config, this.#udpTotal, clock);
    return { name, relay, listening: false, warning: '' };
  }

  #leave({ relay }: Entry): void {
    if (!(relay instanceof TcpRelay)) {
      relay.close();
      return;
    }
    relay.stopListening();
    for (const old of this.#leaving) if (old.size === 0) this.#leaving.delete(old);
    if (relay.size > 0) this.#leaving.add(relay);
  }

  async #tryAll(): Promise<void> {
    if (this.#closed) return;
    const missing = [...this.#entries.values()].filter((entry) => !entry.listening);
    await Promise.all(missing.map((entry) => this.#try(entry)));
    if (this.warnings.length === 0 || this.#closed || this.#cancelRetry !== undefined) return;
    this.#cancelRetry = this.#options.clock.setTimer(this.#options.config.listenRetryMs, () => {
      this.#cancelRetry = undefined;
      void this.#tryAll();
    });
  }

  async #try(entry: Entry): Promise<void> {
    try {
      await entry.relay.listen();
      entry.listening = true;
      entry.warning = '';
      // Gone meanwhile.
      if (this.#entries.get(entry.name) !== entry) entry.relay.close();
    } catch (error) {
      // A host without IPv6 has no [::1] to answer on.
      if (hasErrno(error, 'EADDRNOTAVAIL', 'EAFNOSUPPORT')) return;
      const warning = hasErrno(error, 'EADDRINUSE')
        ? `${entry.name} is in use by another program`
        : `${entry.name}: ${String(error)}`;
      if (entry.warning !== warning)
        this.#options.logger.warn('a published port does not answer on [::1]', { warning });
      entry.warning = warning;
    }
  }
}
