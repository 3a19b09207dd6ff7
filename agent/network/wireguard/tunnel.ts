/** This node's end of the encrypted underlay: keys, device and peers, kept as the tables of networks ask for. */
import type { CancelTimer, Clock } from '#common/clock.ts';
import { SwarmError } from '#common/errors.ts';
import type { Logger } from '#common/log.ts';
import type { NetworkPeer } from '#gen/swarm/v1/networks.ts';
import { NetlinkSocket } from '../../kernel/netlink.ts';
import type { InstanceNames } from '../instance.ts';
import type { WireGuardConfig } from './config.ts';
import { generateKey, readKeys, type WireGuardKey, writeKeys } from './key-ring.ts';
import { TunnelDevice, type WireGuardPrograms } from './tunnel-device.ts';
import {
  sameState,
  settingsText,
  type TunnelPeer,
  tunnelAddress,
  tunnelPeers,
  wantedState,
} from './tunnel-settings.ts';

export interface TunnelOptions {
  readonly names: InstanceNames;
  /** Survives reboots; only root reads it. */
  readonly keyFile: string;
  /** Below the run directory. */
  readonly settingsFile: string;
  readonly programs: WireGuardPrograms;
  readonly config: WireGuardConfig;
  readonly clock: Clock;
  readonly logger: Logger;
  /** The node has other public keys than before: managers are to hear of it. */
  readonly onKeys: () => void;
}

/** Who this node is to encrypt with. */
export interface TunnelMembers {
  /** This node's own index. */
  readonly index: number;
  readonly peers: readonly NetworkPeer[];
  /** Largest packet of the underlay, in bytes. */
  readonly underlayMtu: number;
}

export function tunnelLinkName(names: InstanceNames): string {
  return `wg-${names.tag}`;
}

export class Tunnel {
  readonly #options: TunnelOptions;
  readonly #socket: NetlinkSocket;
  readonly #device: TunnelDevice;
  /** The first one is in use. Invariant: empty only where the host cannot encrypt. */
  #keys: readonly WireGuardKey[] = [];
  #problem: string | undefined;
  #members: TunnelMembers | undefined;
  #closed = false;
  #rotation: CancelTimer | undefined;
  #lane: Promise<unknown> = Promise.resolve();

  private constructor(options: TunnelOptions) {
    this.#options = options;
    this.#socket = NetlinkSocket.open();
    const { names, settingsFile, programs, config, clock } = options;
    const device = { name: tunnelLinkName(names), settingsFile, programs, config, clock };
    this.#device = new TunnelDevice(device, this.#socket);
  }

  /** Looks what the host can do and gets the keys. A device of an earlier run is left as it is. */
  static async open(options: TunnelOptions): Promise<Tunnel> {
    const tunnel = new Tunnel(options);
    try {
      tunnel.#problem = await tunnel.#device.problem();
      if (tunnel.#problem === undefined) await tunnel.#loadKeys();
    } catch (error) {
      await tunnel.#socket.close();
      throw error;
    }
    return tunnel;
  }

  /** Why this node cannot encrypt; undefined where it can. */
  get problem(): string | undefined {
    return this.#problem;
  }

  /** As in NodeDataPath: the one in use, then one that is about to be. */
  get publicKeys(): readonly Buffer[] {
    return this.#keys.map(({ publicKey }) => publicKey);
  }

  /** Largest packet inside the tunnel. */
  mtu(underlayMtu: number): number {
    return underlayMtu - this.#options.config.overheadBytes;
  }

  /**
   * From now on these are the members; undefined where no network of this node is encrypted: the tunnel goes. Throws
   * where this node cannot encrypt.
   */
  set(members: TunnelMembers | undefined): Promise<void> {
    return this.#inTurn(async () => {
      // Members that cannot be served are no reason to look again and again.
      this.#members = members !== undefined && this.#keys.length === 0 ? undefined : members;
      if (members === undefined) await this.#device.remove();
      else await this.#apply(members);
    });
  }

  /** Compares the kernel with what should be there, and repairs it. Says in words what was repaired. */
  verify(): Promise<readonly string[]> {
    return this.#inTurn(() => (this.#members === undefined ? Promise.resolve([]) : this.#apply(this.#members)));
  }

  /** The same comparison, and nothing is repaired: what differs, in words. */
  survey(): Promise<readonly string[]> {
    return this.#inTurn(async () => {
      const { config } = this.#options;
      const [key] = this.#keys;
      if (this.#members === undefined || key === undefined) return [];
      const link = await this.#device.find();
      if (link === undefined) return ['tunnel device'];
      const { index } = this.#members;
      const peers = this.#peersOf(this.#members);
      const state = await this.#device.state();
      const differences: string[] = [];
      if (state === undefined) differences.push('tunnel device: its process does not answer');
      else if (!sameState(state, wantedState(key.publicKey, config.listenPort, peers)))
        differences.push('keys and peers of the tunnel');
      const others = new Set(peers.map(({ address }) => address));
      if (await this.#device.route(link, tunnelAddress(config, index), others, 'look only'))
        differences.push('address and routes of the tunnel');
      return differences;
    });
  }

  /** How long ago keys were agreed on, in milliseconds, by address inside the tunnel; 0: never. */
  handshakeAges(): Promise<ReadonlyMap<string, number>> {
    return this.#inTurn(async () => {
      const found = this.#members === undefined ? undefined : await this.#device.handshakes();
      const nowMs = this.#options.clock.now();
      return new Map(
        Array.from(found ?? [], ([address, atS]) => [address, atS === 0 ? 0 : Math.max(1, nowMs - atS * 1000)]),
      );
    });
  }

  /** Lets go; the tunnel stays. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#rotation?.();
    await this.#inTurn(() => this.#socket.close());
  }

  /** Takes the tunnel away. Then closed. */
  async remove(): Promise<void> {
    this.#closed = true;
    this.#rotation?.();
    await this.#inTurn(async () => {
      await this.#device.remove();
      await this.#socket.close();
    });
  }

  async #apply(members: TunnelMembers): Promise<readonly string[]> {
    const { config } = this.#options;
    const [key] = this.#keys;
    if (key === undefined)
      throw new SwarmError({
        code: 'precondition',
        reason: 'network-failed',
        message: `this node cannot encrypt: ${this.#problem ?? 'it has no key'}`,
        hint: 'install wireguard-tools, and wireguard-go where the kernel has no WireGuard, then restart swarmd',
      });
    const peers = this.#peersOf(members);
    const repaired: string[] = [];
    const mtu = this.mtu(members.underlayMtu);
    let { link, isNew } = await this.#device.ensure(mtu);
    let state = isNew ? undefined : await this.#device.state();
    if (!isNew && state === undefined) {
      // A device whose process is gone or hangs: nothing passes, and nothing can be set.
      await this.#device.remove();
      ({ link, isNew } = await this.#device.ensure(mtu));
      state = undefined;
    }
    if (isNew) repaired.push('tunnel device');
    if (state === undefined || !sameState(state, wantedState(key.publicKey, config.listenPort, peers))) {
      await this.#device.configure(settingsText(key.privateKey, config.listenPort, peers));
      repaired.push('keys and peers of the tunnel');
    }
    const others = new Set(peers.map(({ address }: TunnelPeer) => address));
    if (await this.#device.route(link, tunnelAddress(config, members.index), others))
      repaired.push('address and routes of the tunnel');
    return repaired;
  }

  #peersOf({ index, peers }: TunnelMembers): readonly TunnelPeer[] {
    const { config } = this.#options;
    return tunnelPeers(config, peers).filter(({ address }) => address !== tunnelAddress(config, index));
  }

  async #loadKeys(): Promise<void> {
    const { keyFile, clock } = this.#options;
    this.#keys = await readKeys(keyFile);
    if (this.#keys.length === 0) await this.#setKeys([generateKey(clock.now())]);
    this.#scheduleRotation();
  }

  async #setKeys(keys: readonly WireGuardKey[]): Promise<void> {
    await writeKeys(this.#options.keyFile, keys);
    this.#keys = keys;
  }

  /** @param notBeforeMs at the earliest after so long */
  #scheduleRotation(notBeforeMs = 0): void {
    const { clock, config } = this.#options;
    const newest = this.#keys.at(-1);
    if (newest === undefined || this.#closed) return;
    const lifeMs = this.#keys.length > 1 ? config.announceMs : config.rotateAfterMs;
    // A clock that was set back must not keep a key for ever, one that was set forward must not change it at once again.
    const ageMs = Math.min(lifeMs, Math.max(0, clock.now() - newest.createdAtMs));
    this.#rotation = clock.setTimer(Math.max(notBeforeMs, lifeMs - ageMs), () => void this.#rotate());
  }

  /** Announces a new key, or takes the one that was announced into use. */
  async #rotate(): Promise<void> {
    const { clock, config, logger, onKeys } = this.#options;
    let waitMs = 0;
    try {
      await this.#inTurn(async () => {
        const [current, next] = this.#keys;
        if (current === undefined) return;
        await this.#setKeys(next === undefined ? [current, generateKey(clock.now())] : [next]);
        if (next !== undefined && this.#members !== undefined) await this.#apply(this.#members);
      });
      onKeys();
    } catch (thrown) {
      logger.warn('the key of the tunnel could not be changed', { error: SwarmError.from(thrown).message });
      waitMs = config.announceMs;
    }
    this.#scheduleRotation(waitMs);
  }

  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const done = this.#lane.then(work);
    this.#lane = done.catch(() => undefined);
    return done;
  }
}
