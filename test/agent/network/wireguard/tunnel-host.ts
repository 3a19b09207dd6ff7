/** A host of the test: its end of the tunnel, the guard, and servers and clients. Run inside a namespace. */
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { connect, createServer } from 'node:net';
import { VxlanGuard } from '#agent/network/guard/vxlan-guard.ts';
import { instanceNames } from '#agent/network/instance.ts';
import { DEFAULT_WIREGUARD_CONFIG, type WireGuardConfig } from '#agent/network/wireguard/config.ts';
import { Tunnel, tunnelLinkName } from '#agent/network/wireguard/tunnel.ts';
import type { WireGuardPrograms } from '#agent/network/wireguard/tunnel-device.ts';
import { silentLogger } from '#common/log.ts';
import { systemClock } from '#common/system/clock.ts';
import { NetworkPeer } from '#gen/swarm/v1/networks.ts';
import { NodeDataPath } from '#gen/swarm/v1/objects.ts';
import { serveMethods } from '#test/support/namespace-program.ts';

export interface HostSettings {
  readonly instance: string;
  readonly directory: string;
  readonly programs: WireGuardPrograms;
  readonly config?: Partial<WireGuardConfig>;
}

/** A peer in a form that survives JSON. */
export interface PeerText {
  readonly index: number;
  readonly address: string;
  /** Base64. */
  readonly keys: readonly string[];
}

let tunnel: Tunnel | undefined;
let guard: VxlanGuard | undefined;
const heard: string[] = [];

function up(): Tunnel {
  if (tunnel === undefined) throw new Error('no tunnel in this program');
  return tunnel;
}

function peerOf({ index, address, keys }: PeerText): NetworkPeer {
  const wireguardKeys = keys.map((key) => Buffer.from(key, 'base64'));
  return NetworkPeer.create({ nodeId: `n${index}`, index, dataPath: NodeDataPath.create({ address, wireguardKeys }) });
}

const METHODS = {
  async open({ instance, directory, programs, config }: HostSettings): Promise<string | undefined> {
    const names = instanceNames(instance);
    const paths = { keyFile: `${directory}/keys.json`, settingsFile: `${directory}/settings` };
    tunnel = await Tunnel.open({
      names,
      ...paths,
      programs,
      config: { ...DEFAULT_WIREGUARD_CONFIG, ...config },
      clock: systemClock,
      logger: silentLogger,
      onKeys: () => {},
    });
    guard = new VxlanGuard({ names, plainPort: 4789, encryptedPort: 4790, tunnelLink: tunnelLinkName(names) });
    return tunnel.problem;
  },
  keys: (): readonly string[] => up().publicKeys.map((key) => key.toString('base64')),
  set: (index: number, peers: readonly PeerText[], underlayMtu: number): Promise<void> =>
    up().set({ index, peers: peers.map(peerOf), underlayMtu }),
  unset: (): Promise<void> => up().set(undefined),
  verify: (): Promise<readonly string[]> => up().verify(),
  remove: async (): Promise<void> => {
    await tunnel?.remove();
    await guard?.remove();
  },

  guard: async (nodes: readonly string[], inTunnel: readonly string[]): Promise<void> =>
    guard?.set({ nodes, tunnel: inTunnel }),
  verifyGuard: async (): Promise<boolean> => (await guard?.verify()) ?? false,

  /** Repeats what it hears. */
  async serve(host: string, port: number): Promise<void> {
    const server = createServer((socket) => {
      socket.on('error', () => {});
      socket.pipe(socket);
    });
    server.listen({ host, port });
    await once(server, 'listening');
  },
  /** What the server repeats, or the errno. */
  say: (host: string, port: number, text: string, timeoutMs = 3_000): Promise<string> =>
    new Promise((resolve) => {
      let answer = '';
      const socket = connect({ host, port, timeout: timeoutMs });
      socket.on('timeout', () => {
        resolve('timeout');
        socket.destroy();
      });
      socket.on('error', (error) => resolve('code' in error ? String(error.code) : error.message));
      socket.on('data', (chunk) => {
        answer += chunk.toString();
        if (answer.length === text.length) socket.end();
      });
      socket.on('end', () => resolve(answer));
      socket.write(text);
    }),
  /** Datagrams at a port, from whomever. */
  async listen(host: string, port: number): Promise<void> {
    const isIPv6 = host.includes(':');
    const socket = createSocket({ type: isIPv6 ? 'udp6' : 'udp4', ipv6Only: isIPv6 });
    socket.on('message', (message) => void heard.push(message.toString()));
    socket.bind(port, host);
    await once(socket, 'listening');
  },
  heard: (): readonly string[] => heard,
  /** Sends a datagram, also to everybody; "" or the errno. */
  send: (host: string, port: number, text: string, from?: string): Promise<string> =>
    new Promise((resolve) => {
      const socket = createSocket(host.includes(':') ? 'udp6' : 'udp4');
      const done = (error: NodeJS.ErrnoException | null): void => {
        socket.close();
        resolve(error === null ? '' : (error.code ?? error.message));
      };
      socket.on('error', done);
      socket.bind(from === undefined ? {} : { address: from }, () => {
        if (!host.includes(':')) socket.setBroadcast(true);
        socket.send(text, port, host, done);
      });
    }),
};

export type HostMethods = typeof METHODS;

serveMethods(METHODS);
