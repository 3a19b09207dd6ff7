/**
 * Reserves a port of the host with a real socket, so that no other program can take it and a port that is taken shows.
 * Traffic never gets to the socket: nftables sends it to the task first. Should that rule be missing, TCP connections
 * are reset at once and datagrams are dropped.
 */
import { createSocket, type Socket } from 'node:dgram';
import type { EventEmitter } from 'node:events';
import { createServer } from 'node:net';
import { invalidField, SwarmError } from '#common/errors.ts';
import { hasErrno } from '../kernel/libc.ts';
import { boundAddress, type Family, familiesOf } from './host-ports.ts';
import { findPortOwner } from './port-owner.ts';
import type { PublishedAt } from './task-network.ts';

export interface PortHolder {
  /** The port that was reserved: the free one where 0 was asked for. */
  readonly port: number;
  release(): Promise<void>;
}

const EVERY_ADDRESS: Readonly<Record<Family, string>> = { 4: '0.0.0.0', 6: '::' };
const NAMES_PORT = 53;
/** Free ports that are tried until one is free in both families. */
const FREE_PORT_ATTEMPTS = 8;
/** Nobody is ever accepted, so a short queue does. */
const BACKLOG = 8;

/** "8080/tcp", "192.0.2.7:8080/tcp", "[2001:db8::7]:8080/tcp". */
export function portText(port: PublishedAt): string {
  const { hostIp } = port;
  const address = hostIp?.includes(':') === true ? `[${hostIp}]` : hostIp;
  return `${address === undefined ? '' : `${address}:`}${port.publishedPort}/${port.protocol}`;
}

/**
 * In these families of those that the port is published in; where the host has no IPv6, of IPv4 alone. Throws
 * `port-conflict`, naming port and holder, or `bad-field` for an address that the host does not have.
 */
export async function holdPort(port: PublishedAt, families: readonly Family[] = [4, 6]): Promise<PortHolder> {
  const due = familiesOf(port).filter((family) => families.includes(family));
  for (let attempt = 1; ; attempt++) {
    const held: PortHolder[] = [];
    try {
      for (const family of due) {
        const holder = await holdOne({ ...port, publishedPort: held[0]?.port ?? port.publishedPort }, family);
        if (holder !== undefined) held.push(holder);
      }
      const [first] = held;
      return {
        port: first?.port ?? port.publishedPort,
        release: async () => {
          for (const one of held) await one.release();
        },
      };
    } catch (error) {
      for (const one of held) await one.release();
      // A port that is free in one family need not be in the other.
      const again = port.publishedPort === 0 && held.length > 0 && attempt < FREE_PORT_ATTEMPTS;
      if (!again) throw await explain(error, port);
    }
  }
}

/** Undefined where there is nothing to hold: every address of a family that the host does not speak. */
async function holdOne(port: PublishedAt, family: Family): Promise<PortHolder | undefined> {
  try {
    switch (port.protocol) {
      case 'tcp':
        return await holdTcp(port, family);
      case 'udp':
        return await holdUdp(port, family);
      case 'sctp':
        return holdSctp(port);
    }
  } catch (error) {
    const isEvery = boundAddress(port) === undefined;
    if (family === 6 && isEvery && hasErrno(error, 'EAFNOSUPPORT', 'EADDRNOTAVAIL')) return undefined;
    throw error;
  }
}

/**
 * Ports of every IPv6 address are shared with the proxy that answers at the one of them which leads nowhere, [::1]; the
 * port of names of every address with who answers tasks at the host's end of the cable.
 */
function isShared(port: PublishedAt, family: Family): boolean {
  return boundAddress(port) === undefined && (family === 6 || port.publishedPort === NAMES_PORT);
}

function holdTcp(port: PublishedAt, family: Family): Promise<PortHolder> {
  const server = createServer((connection) => {
    connection.on('error', () => {});
    connection.resetAndDestroy();
  });
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    const listen = {
      host: boundAddress(port) ?? EVERY_ADDRESS[family],
      port: port.publishedPort,
      backlog: BACKLOG,
      exclusive: true,
      ipv6Only: family === 6,
      reusePort: isShared(port, family),
    };
    server.listen(listen, () => {
      server.unref();
      ignoreLaterErrors(server);
      const address = server.address();
      resolve({
        port: typeof address === 'object' && address !== null ? address.port : port.publishedPort,
        release: () => new Promise((done) => server.close(() => done())),
      });
    });
  });
}

function holdUdp(port: PublishedAt, family: Family): Promise<PortHolder> {
  const type = family === 4 ? 'udp4' : 'udp6';
  const reusePort = isShared(port, family);
  const socket: Socket = createSocket({ type, ipv6Only: family === 6, reuseAddr: false, reusePort });
  const address = boundAddress(port) ?? EVERY_ADDRESS[family];
  return new Promise((resolve, reject) => {
    socket.once('error', (error) => {
      socket.close();
      reject(error);
    });
    socket.bind({ address, port: port.publishedPort, exclusive: true }, () => {
      socket.unref();
      ignoreLaterErrors(socket);
      resolve({
        port: socket.address().port,
        release: () => new Promise((done) => socket.close(() => done())),
      });
    });
  });
}

/** A socket that only reserves has nothing to lose: a failed accept or an ICMP error changes nothing. */
function ignoreLaterErrors(emitter: EventEmitter): void {
  emitter.removeAllListeners('error');
  emitter.on('error', () => {});
}

/** Node has no SCTP sockets. Two tasks cannot have the same port (see PortPublisher); a host program could. */
function holdSctp(port: PublishedAt): PortHolder {
  if (port.publishedPort === 0)
    throw invalidField('publishedPort', 'publishedPort: choose the port yourself for sctp', 'publish a fixed port');
  return { port: port.publishedPort, release: async () => {} };
}

async function explain(error: unknown, port: PublishedAt): Promise<SwarmError> {
  if (hasErrno(error, 'EADDRINUSE')) {
    const owner = await findPortOwner(port);
    return portConflict(port, owner ?? 'another program', error);
  }
  if (hasErrno(error, 'EADDRNOTAVAIL'))
    return invalidField(
      'hostIp',
      `hostIp: ${port.hostIp} is not an address of this host`,
      'publish on an address that the host has, or on all of them',
    );
  return SwarmError.from(error);
}

export function portConflict(port: PublishedAt, holder: string, cause?: unknown): SwarmError {
  return new SwarmError({
    code: 'precondition',
    reason: 'port-conflict',
    field: 'publishedPort',
    message: `port ${portText(port)} of the host is in use by ${holder}`,
    hint: 'publish another port, or stop the program that has it',
    cause,
  });
}
