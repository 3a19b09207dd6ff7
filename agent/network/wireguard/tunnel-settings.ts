/** What wg(8) reads and prints, and the addresses inside the tunnel. */
import { assert } from '#common/errors.ts';
import type { NetworkPeer } from '#gen/swarm/v1/networks.ts';
import type { WireGuardConfig } from './config.ts';
import { KEY_BYTES } from './key-ring.ts';

export interface TunnelPeer {
  /** Address inside the tunnel. */
  readonly address: string;
  /** "192.0.2.7:51820" or "[2001:db8::7]:51820". */
  readonly endpoint: string;
  /** Base64. The first one has the traffic, the others are known. */
  readonly keys: readonly string[];
}

/** Where a node is inside the tunnel. */
export function tunnelAddress(config: WireGuardConfig, index: number): string {
  assert(index > 0 && index <= 0xffff, 'a node index is 1 to 65535');
  return `${config.addressPrefix}.${index >>> 8}.${index & 0xff}`;
}

/** Peers that can encrypt; those that cannot are left out, so that nothing is sent to them. */
export function tunnelPeers(config: WireGuardConfig, peers: Iterable<NetworkPeer>): readonly TunnelPeer[] {
  const found: TunnelPeer[] = [];
  for (const { index, dataPath } of peers) {
    const keys = (dataPath?.wireguardKeys ?? []).filter((key) => key.length === KEY_BYTES);
    const host = dataPath?.address ?? '';
    if (host === '' || index === 0 || keys.length === 0) continue;
    const endpoint = `${host.includes(':') ? `[${host}]` : host}:${config.listenPort}`;
    const texts = keys.map((key) => Buffer.from(key).toString('base64'));
    found.push({ address: tunnelAddress(config, index), endpoint, keys: texts });
  }
  return found;
}

/** For `wg syncconf`. Holds the private key: a file of mode 0600, never an argument. */
export function settingsText(privateKey: Buffer, listenPort: number, peers: readonly TunnelPeer[]): string {
  const lines = ['[Interface]', `PrivateKey = ${privateKey.toString('base64')}`, `ListenPort = ${listenPort}`];
  for (const { address, endpoint, keys } of peers)
    for (const [position, key] of keys.entries()) {
      lines.push('[Peer]', `PublicKey = ${key}`, `Endpoint = ${endpoint}`);
      if (position === 0) lines.push(`AllowedIPs = ${address}/32`);
    }
  return `${lines.join('\n')}\n`;
}

/** What of a tunnel can be compared: its own public key, port, and who may have which address. */
export interface TunnelState {
  readonly publicKey: string;
  readonly listenPort: number;
  /** Public key to allowed address; undefined for none. */
  readonly allowed: ReadonlyMap<string, string | undefined>;
}

/** The answer to `wg show <device> dump`: tab-separated, the device in the first line, a peer in each other. */
export function parseDump(text: string): TunnelState {
  const [device = '', ...rest] = text.split('\n').filter((line) => line !== '');
  const [, publicKey = '', listenPort = ''] = device.split('\t');
  const allowed = new Map<string, string | undefined>();
  for (const line of rest) {
    const [key = '', , , addresses = ''] = line.split('\t');
    allowed.set(key, addresses === '(none)' ? undefined : addresses.replace(/\/32$/, ''));
  }
  return { publicKey, listenPort: Number(listenPort), allowed };
}

/** Of the same answer: when keys were last agreed on, in seconds of the clock, by allowed address; 0: never. */
export function parseHandshakes(text: string): ReadonlyMap<string, number> {
  const found = new Map<string, number>();
  for (const line of text.split('\n').slice(1)) {
    const [, , , addresses = '(none)', handshake = '0'] = line.split('\t');
    if (addresses !== '(none)') found.set(addresses.replace(/\/32$/, ''), Number(handshake));
  }
  return found;
}

export function wantedState(publicKey: Buffer, listenPort: number, peers: readonly TunnelPeer[]): TunnelState {
  const allowed = new Map<string, string | undefined>();
  for (const { address, keys } of peers)
    for (const [position, key] of keys.entries()) allowed.set(key, position === 0 ? address : undefined);
  return { publicKey: publicKey.toString('base64'), listenPort, allowed };
}

export function sameState(a: TunnelState, b: TunnelState): boolean {
  return (
    a.publicKey === b.publicKey &&
    a.listenPort === b.listenPort &&
    a.allowed.size === b.allowed.size &&
    [...a.allowed].every(([key, address]) => b.allowed.has(key) && b.allowed.get(key) === address)
  );
}
