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
import { findPortOwner } from './port-owner.ts';
import type { PublishedAt } from './task-network.ts';

export interface PortHolder {
  /** The port that was reserved: the free one where 0 was asked for. */
  readonly port: number;
  release(): Promise<void>;
}

const EVERY_ADDRESS = '0.0.0.0';
/** Nobody is ever accepted, so a short queue does. */
const BACKLOG = 8;

/** "8080/tcp", "192.0.2.7:8080/tcp". */
export function portText(port: PublishedAt): string {
  return `${port.hostIp === undefined ? '' : `${port.hostIp}:`}${port.publishedPort}/${port.protocol}`;
}

/** Throws `port-conflict`, naming port and holder, or `bad-field` for an address that the host does not have. */
export async function holdPort(port: PublishedAt): Promise<PortHolder> {
  try {
    switch (port.protocol) {
      case 'tcp':
        return await holdTcp(port);
      case 'udp':
        return await holdUdp(port);
      case 'sctp':
        return holdSctp(port);
    }
  } catch (error) {
    throw await explain(error, port);
  }
}

function holdTcp(port: PublishedAt): Promise<PortHolder> {
  const server = createServer((connection) => {
    connection.on('error', () => {});
    connection.resetAndDestroy();
  });
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    const listen = { host: port.hostIp ?? EVERY_ADDRESS, port: port.publishedPort, backlog: BACKLOG, exclusive: true };
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

function holdUdp(port: PublishedAt): Promise<PortHolder> {
  const socket: Socket = createSocket({ type: 'udp4', reuseAddr: false });
  return new Promise((resolve, reject) => {
    socket.once('error', (error) => {
      socket.close();
      reject(error);
    });
    socket.bind({ address: port.hostIp ?? EVERY_ADDRESS, port: port.publishedPort, exclusive: true }, () => {
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
