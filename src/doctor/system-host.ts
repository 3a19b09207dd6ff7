/** The host that this process runs on. */
import { createSocket } from 'node:dgram';
import { access, constants, mkdir, mkdtemp, readFile, rm } from 'node:fs/promises';
import { request } from 'node:http';
import { createServer, isIPv6, connect as netConnect } from 'node:net';
import { join } from 'node:path';
import { dialCa } from '#agent/identity/index.ts';
import { runProcess } from '#agent/kernel/run-process.ts';
import { statfs } from '#agent/kernel/statfs.ts';
import { findProgram, PROGRAM_ENVIRONMENT } from '#agent/runtime/index.ts';
import { formatHostPort } from '#common/host-port.ts';
import { DOCTOR_CONFIG } from './config.ts';
import type { Connection, DockerEngine, FileSystem, Host } from './host.ts';

const OUTPUT_BYTES_MAX = 4 * 1024 * 1024;
const DOCKER_ANSWER_BYTES_MAX = 1024 * 1024;
const DOCKER_TIMEOUT_MS = 2000;

export const systemHost: Host = {
  read: (path) => readFile(path, 'utf8').catch(() => undefined),
  find: findProgram,
  run: async (program, ...args) => {
    const file = await findProgram(program);
    if (file === undefined) return undefined;
    return runProcess({
      file,
      args,
      env: { ...PROGRAM_ENVIRONMENT, LC_ALL: 'C' },
      directory: '/',
      timeoutMs: DOCTOR_CONFIG.checkTimeoutMs,
      outputBytesMax: OUTPUT_BYTES_MAX,
    });
  },
  bind: (protocol, host, port) => (protocol === 'tcp' ? bindTcp(host, port) : bindUdp(host, port)),
  writable: (path) =>
    access(path, constants.W_OK).then(
      () => true,
      () => false,
    ),
  connect,
  clockSkew,
  fileSystem,
  withScratch: async (parent, use) => {
    await mkdir(parent, { recursive: true, mode: 0o700 });
    const directory = await mkdtemp(join(parent, 'doctor-'));
    try {
      return await use(directory);
    } finally {
      await rm(directory, { recursive: true, force: true });
    }
  },
  docker,
};

function errorName(error: Error): string {
  return (error as NodeJS.ErrnoException).code ?? error.message;
}

function bindTcp(host: string, port: number): Promise<string | undefined> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', (error) => resolve(errorName(error)));
    server.listen({ host, port, exclusive: true }, () => server.close(() => resolve(undefined)));
  });
}

function bindUdp(address: string, port: number): Promise<string | undefined> {
  return new Promise((resolve) => {
    const socket = createSocket(isIPv6(address) ? 'udp6' : 'udp4');
    socket.once('error', (error) => {
      socket.close();
      resolve(errorName(error));
    });
    socket.bind({ address, port, exclusive: true }, () => socket.close(() => resolve(undefined)));
  });
}

function connect(host: string, port: number, timeoutMs: number): Promise<Connection> {
  const startMs = performance.now();
  return new Promise((resolve) => {
    const socket = netConnect({ host, port });
    const settle = (error: string | undefined): void => {
      socket.destroy();
      resolve({ error, elapsedMs: performance.now() - startMs });
    };
    socket.setTimeout(timeoutMs, () => settle('ETIMEDOUT'));
    socket.once('connect', () => settle(undefined));
    socket.once('error', (error) => settle(errorName(error)));
  });
}

/** Whoever is there is believed: a wrong answer costs a wrong line of a report. */
async function clockSkew(host: string, port: number): Promise<number | undefined> {
  const connection = dialCa(formatHostPort({ host, port }), { kind: 'unverified' });
  try {
    const askedMs = Date.now();
    const { timeMs } = await connection.getRootCertificate(DOCTOR_CONFIG.connectTimeoutMs);
    return timeMs === 0 ? undefined : (askedMs + Date.now()) / 2 - timeMs;
  } catch {
    return undefined;
  } finally {
    connection.close();
  }
}

async function fileSystem(path: string): Promise<FileSystem | undefined> {
  try {
    const { kind, availableBytes } = await statfs(path);
    const known = kind === 'tmpfs' || kind === 'overlay' || kind === 'cgroup2';
    return { kind: known ? kind : 'other', availableBytes };
  } catch {
    return undefined;
  }
}

function docker(socketPath: string): Promise<DockerEngine | undefined> {
  return new Promise((resolve) => {
    const asking = request({ socketPath, path: '/info', timeout: DOCKER_TIMEOUT_MS }, (answer) => {
      const chunks: Buffer[] = [];
      let size = 0;
      answer.on('data', (chunk: Buffer) => {
        size += chunk.length;
        if (size > DOCKER_ANSWER_BYTES_MAX) asking.destroy();
        else chunks.push(chunk);
      });
      answer.on('end', () => resolve(parseDockerInfo(Buffer.concat(chunks).toString('utf8'))));
      answer.on('error', () => resolve(undefined));
    });
    asking.on('timeout', () => asking.destroy());
    asking.on('error', () => resolve(undefined));
    asking.on('close', () => resolve(undefined));
    asking.end();
  });
}

/** What matters of the engine's answer to /info. */
export function parseDockerInfo(text: string): DockerEngine | undefined {
  try {
    const info = JSON.parse(text) as { ServerVersion?: unknown; Swarm?: { LocalNodeState?: unknown } } | null;
    if (typeof info?.ServerVersion !== 'string') return undefined;
    const state = info.Swarm?.LocalNodeState;
    return { version: info.ServerVersion, swarmState: typeof state === 'string' ? state : 'inactive' };
  } catch {
    return undefined;
  }
}
