/**
 * A process that a test starts inside a network namespace and talks to over IPC. It plays a host (with a NodeNetwork), a
 * server outside, or a program in a task. Run by fixture.ts.
 */

import { createSocket } from 'node:dgram';
import { Resolver } from 'node:dns/promises';
import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';
import type { NetworkView } from '#agent/discovery/index.ts';
import type { AttachRequest, ClusterNetworks, ExpectedPorts, NetworkConfig, Underlay } from '#agent/network/index.ts';
import { DEFAULT_NETWORK_CONFIG, NodeNetwork, RulesetGuard } from '#agent/network/index.ts';
import { silentLogger } from '#common/log.ts';
import { systemClock } from '#common/system/clock.ts';
import { NetworkEndpoint, NetworkPeer, NetworkService, NetworkTable } from '#gen/swarm/v1/networks.ts';
import { NodeDataPath } from '#gen/swarm/v1/objects.ts';
import { IpamSubnet, PortConfig, PortProtocol, TrafficPolicy } from '#gen/swarm/v1/specs.ts';
import { serveMethods } from '#test/support/namespace-program.ts';
import { bothAddresses } from './both-addresses.ts';

export interface NetworkSettings {
  readonly instance: string;
  readonly directory: string;
  readonly config?: Partial<NetworkConfig>;
  /** With one, tasks may be on the network "ingress" of this cluster. */
  readonly nodeId?: string;
}

/** The ingress network in a form that survives JSON. */
export interface MeshState {
  readonly nodes: readonly {
    readonly id: string;
    readonly index: number;
    readonly address: string;
    /** Unless told otherwise it has. */
    readonly ipv6?: boolean;
  }[];
  readonly services: readonly {
    readonly id: string;
    readonly ports: readonly {
      readonly publishedPort: number;
      readonly targetPort: number;
      readonly udp?: boolean;
      readonly hostIp?: string;
      readonly policy?: 'local' | 'prefer-local';
    }[];
  }[];
  readonly tasks: readonly {
    readonly id: string;
    readonly service: string;
    readonly node: string;
    readonly address: string;
    readonly serving?: boolean;
  }[];
}

const POLICIES = { local: TrafficPolicy.LOCAL, 'prefer-local': TrafficPolicy.PREFER_LOCAL } as const;

function meshView({ nodes, services, tasks }: MeshState): NetworkView {
  const byId = <T>(list: readonly T[], idOf: (one: T) => string): ReadonlyMap<string, T> =>
    new Map(list.map((one) => [idOf(one), one]));
  const peers = nodes.map(({ id, index, address, ipv6 = true }) =>
    NetworkPeer.create({ nodeId: id, index, dataPath: NodeDataPath.create({ address, mtu: 1500, ipv6 }) }),
  );
  const listed = services.map(({ id, ports }) =>
    NetworkService.create({
      serviceId: id,
      name: id,
      ports: ports.map(({ publishedPort, targetPort, udp, hostIp, policy }) =>
        PortConfig.create({
          publishedPort,
          targetPort,
          protocol: udp === true ? PortProtocol.UDP : PortProtocol.TCP,
          hostIp: hostIp ?? '',
          trafficPolicy: policy === undefined ? TrafficPolicy.CLUSTER : POLICIES[policy],
        }),
      ),
    }),
  );
  const endpoints = tasks.map(({ id, service, node, address, serving }) =>
    NetworkEndpoint.create({
      taskId: id,
      serviceId: service,
      nodeId: node,
      addresses: bothAddresses(address),
      serving: serving ?? true,
    }),
  );
  return {
    table: NetworkTable.create({
      networkId: 'ingress',
      name: 'ingress',
      ingress: true,
      vni: 4096,
      subnets: ['10.0.0.0/24', 'fd00:10::/64'].map((subnet) => IpamSubnet.create({ subnet })),
    }),
    peers: byId(peers, (peer) => peer.nodeId),
    services: byId(listed, (service) => service.serviceId),
    endpoints: byId(endpoints, (endpoint) => endpoint.taskId),
  };
}

/** A cluster with the ingress network and no other. */
const INGRESS_ONLY: ClusterNetworks = {
  overlay: { attach: async () => [], detach: async () => {} },
  isIngress: (networkId) => networkId === 'ingress',
  ready: async () => {},
  adopt: () => {},
  placed: async () => {},
  gone: async () => {},
  answersNames: false,
};

function datagramType(host: string): 'udp4' | 'udp6' {
  return host.includes(':') ? 'udp6' : 'udp4';
}

let network: NodeNetwork | undefined;
let rulesetGuard: RulesetGuard | undefined;
let comparisons = 0;
const conversations = new Map<string, Socket>();
const heard = new Map<string, number>();
const late = new Set<Socket>();

function up(): NodeNetwork {
  if (network === undefined) throw new Error('no network in this process');
  return network;
}

/** What a parent may ask for; every answer survives JSON. */
export const METHODS = {
  open(settings: NetworkSettings): void {
    const { instance, directory, nodeId } = settings;
    const config = { ...DEFAULT_NETWORK_CONFIG, readyNamespaces: 2, ...settings.config };
    network = new NodeNetwork({
      instance,
      directory,
      config,
      clock: systemClock,
      logger: silentLogger,
      ...(nodeId === undefined ? {} : { cluster: INGRESS_ONLY }),
    });
  },
  surveyMesh(): Promise<readonly string[]> {
    return up().surveyMesh();
  },
  /** The table of the ingress network as the node is told of it; `touched` as in an increment. */
  async mesh(
    nodeId: string,
    state: MeshState,
    touched?: { readonly endpoints?: readonly string[] } | null,
  ): Promise<readonly string[]> {
    const view = meshView(state);
    const underlay: Underlay = {
      address: state.nodes.find((node) => node.id === nodeId)?.address ?? '',
      port: 4789,
      mtu: 1500,
      peerAddress: (peer) => peer.dataPath?.address,
      peerMtu: (peer) => peer.dataPath?.mtu,
    };
    const items =
      touched === undefined || touched === null
        ? undefined
        : {
            peers: new Set<string>(),
            services: new Set<string>(),
            endpoints: new Set(touched.endpoints),
            table: false,
          };
    await up().applyMesh({ nodeId, view, underlay }, items);
    return up().meshProblems();
  },
  /** Milliseconds that draining took. */
  async drain(taskId: string, maxMs: number): Promise<number> {
    const begin = performance.now();
    await up().drain(taskId, maxMs, new AbortController().signal);
    return performance.now() - begin;
  },
  /** The published ports that the task does not listen on, and the milliseconds that this took. */
  async listening(taskId: string, ports: ExpectedPorts): Promise<{ readonly absent: readonly number[]; ms: number }> {
    const begin = performance.now();
    const absent = await up().listening(taskId, ports, new AbortController().signal);
    return { absent, ms: performance.now() - begin };
  },
  restore: (known: readonly string[]) => up().restore(known),
  attach: (request: AttachRequest) => up().attach(request),
  detach: (taskId: string) => up().detach(taskId),
  reconcile: () => up().reconcile(),
  /** From now on the tables are put right as soon as another program has changed them. */
  guardRuleset(settleMs: number, spacingMs: number): void {
    const compare = async (): Promise<readonly string[]> => {
      const found = await up().repairTables();
      comparisons++;
      return found;
    };
    rulesetGuard = new RulesetGuard({ compare, settleMs, spacingMs, clock: systemClock, logger: silentLogger });
  },
  /** How often they were compared. */
  comparisons: (): number => comparisons,
  stopGuarding: () => rulesetGuard?.close(),
  close: () => up().close(),
  destroy: () => up().destroy(),

  /** A TCP server that sends "<name> <address of the client>" and closes. */
  async serve(name: string, host: string, port: number): Promise<void> {
    const server = createServer((socket) => {
      socket.on('error', () => {});
      socket.end(`${name} ${socket.remoteAddress?.replace('::ffff:', '')}`);
    });
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen({ host, port }, resolve);
    });
  },

  /** A UDP server with the same answer. */
  async serveDatagrams(name: string, host: string, port: number): Promise<void> {
    const socket = createSocket(datagramType(host));
    socket.on('message', (_message, from) => {
      heard.set(name, (heard.get(name) ?? 0) + 1);
      socket.send(`${name} ${from.address.replace('::ffff:', '')}`, from.port, from.address);
    });
    await new Promise<void>((resolve) => socket.bind(port, host, resolve));
  },

  /** How many datagrams the server of that name has had. */
  heard: (name: string): number => heard.get(name) ?? 0,

  /** What the server at the address says; or the errno, or "timeout". */
  async ask(host: string, port: number, timeoutMs = 1000): Promise<string> {
    return new Promise((resolve) => {
      let text = '';
      const socket = connect({ host, port, timeout: timeoutMs });
      socket.on('timeout', () => {
        resolve('timeout');
        socket.destroy();
      });
      socket.on('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? 'error'));
      socket.on('data', (chunk) => {
        text += chunk.toString();
      });
      socket.on('end', () => resolve(text));
    });
  },

  async askDatagram(host: string, port: number, timeoutMs = 1000, source?: string): Promise<string> {
    const socket = createSocket(datagramType(host));
    try {
      return await new Promise((resolve) => {
        const timer = setTimeout(() => resolve('timeout'), timeoutMs);
        const answer = (text: string): void => {
          clearTimeout(timer);
          resolve(text);
        };
        socket.on('message', (message) => answer(message.toString()));
        socket.on('error', (error: NodeJS.ErrnoException) => answer(error.code ?? 'error'));
        socket.bind(source === undefined ? {} : { address: source }, () =>
          socket.connect(port, host, () => socket.send('?')),
        );
      });
    } finally {
      socket.close();
    }
  },

  /** A TCP server that repeats what it hears. */
  async serveEcho(host: string, port: number): Promise<void> {
    const server = createServer((socket) => {
      socket.on('error', () => {});
      socket.pipe(socket);
    });
    server.listen({ host, port });
    await once(server, 'listening');
  },

  /** A TCP server that takes what it hears and answers when it is told to: `answerLate`. */
  async serveLate(host: string, port: number): Promise<void> {
    const server = createServer((socket) => {
      socket.on('error', () => {}).resume();
      late.add(socket);
    });
    server.listen({ host, port });
    await once(server, 'listening');
  },

  answerLate(): void {
    for (const socket of late) socket.write('late');
  },

  /** Opens a connection that lasts, for `say`. */
  async converse(name: string, host: string, port: number, localPort?: number): Promise<void> {
    const socket = connect({ host, port, ...(localPort === undefined ? {} : { localPort }) });
    socket.on('error', () => {});
    conversations.set(name, socket);
    await once(socket, 'connect');
  },

  /** Ends a conversation. */
  hangUp(name: string): void {
    conversations.get(name)?.destroy();
  },

  /** Says something in a conversation; what comes back, "closed", or "timeout". */
  async say(name: string, text: string, timeoutMs = 1000): Promise<string> {
    const socket = conversations.get(name);
    if (socket === undefined || socket.destroyed) return 'closed';
    return new Promise((resolve) => {
      const timer = setTimeout(() => resolve('timeout'), timeoutMs);
      const answer = (said: string): void => {
        clearTimeout(timer);
        socket.removeAllListeners('data');
        resolve(said);
      };
      socket.once('close', () => answer('closed'));
      socket.once('data', (chunk) => answer(chunk.toString()));
      socket.write(text);
    });
  },

  /** Says much in a conversation with an echo; how many bytes came back in time. */
  async sayMuch(name: string, text: string, timeoutMs = 3000): Promise<number> {
    const socket = conversations.get(name);
    if (socket === undefined || socket.destroyed) return 0;
    return new Promise((resolve) => {
      let bytes = 0;
      const done = (): void => {
        clearTimeout(timer);
        socket.removeAllListeners('data');
        resolve(bytes);
      };
      const timer = setTimeout(done, timeoutMs);
      socket.on('data', (chunk) => {
        bytes += chunk.length;
        if (bytes >= text.length) done();
      });
      socket.write(text);
    });
  },

  /** A datagram socket with a source port of its own that lasts: each call sends one and hears one. */
  async askDatagramAgain(host: string, port: number, sourcePort: number, timeoutMs = 500): Promise<string> {
    const socket = createSocket(datagramType(host));
    try {
      await new Promise<void>((resolve) => socket.bind(sourcePort, resolve));
      return await new Promise((resolve) => {
        const timer = setTimeout(() => resolve('timeout'), timeoutMs);
        socket.on('error', () => {});
        socket.on('message', (message) => {
          clearTimeout(timer);
          resolve(message.toString());
        });
        socket.send('?', port, host);
      });
    } finally {
      socket.close();
    }
  },

  /** A datagram with any content, as hex, to anybody; "" or the errno. */
  async sendRaw(host: string, port: number, hex: string, source = '0.0.0.0'): Promise<string> {
    const socket = createSocket('udp4');
    await new Promise<void>((resolve) => socket.bind({ address: source }, resolve));
    socket.setBroadcast(true);
    return new Promise((resolve) => {
      const done = (error: NodeJS.ErrnoException | null): void => {
        socket.close();
        resolve(error?.code ?? '');
      };
      socket.send(Buffer.from(hex, 'hex'), port, host, done);
    });
  },

  /** The IPv4 addresses of a name, or what came instead of an answer: "ENOTFOUND", "EREFUSED", ... */
  async resolveName(name: string, server = '127.0.0.11'): Promise<readonly string[]> {
    const resolver = new Resolver({ timeout: 1000, tries: 1 });
    resolver.setServers([server]);
    return resolver.resolve4(name).catch((error: NodeJS.ErrnoException) => [error.code ?? error.message]);
  },

  /** Milliseconds of each of so many attaches, and of each of their detaches. */
  async measure(count: number, ports: boolean): Promise<{ attach: number[]; detach: number[] }> {
    const attach: number[] = [];
    const detach: number[] = [];
    for (let index = 0; index < count; index++) {
      const taskId = `measured${index}`;
      const begin = performance.now();
      await up().attach({
        taskId,
        mode: 'gateway',
        hostname: 'x',
        ports: ports ? [{ protocol: 'tcp', publishedPort: 20_000 + index, targetPort: 80 }] : [],
      });
      attach.push(performance.now() - begin);
    }
    for (let index = 0; index < count; index++) {
      const begin = performance.now();
      await up().detach(`measured${index}`);
      detach.push(performance.now() - begin);
    }
    return { attach, detach };
  },
};

export type Methods = typeof METHODS;

serveMethods(METHODS);
