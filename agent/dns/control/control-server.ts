/** The resolver's side of the socket that the daemon comes by. */
import { chmod, unlink } from 'node:fs/promises';
import { createServer, type Server, type Socket } from 'node:net';
import { SwarmError } from '#common/errors.ts';
import type { Logger } from '#common/log.ts';
import { socketAnswers } from '#common/system/socket-answers.ts';
import { ResolverReply, ResolverRequest } from '#gen/swarm/v1/resolver.ts';
import { FrameReader, frame } from './frames.ts';
import type { ResolverService } from './resolver-service.ts';

export interface ControlServerOptions {
  readonly path: string;
  readonly service: ResolverService;
  readonly programVersion: string;
  readonly logger: Logger;
  /** Called once, after the socket is closed and the request answered. */
  readonly onRetire: (now: boolean) => void;
}

/** One daemon, and whoever looks after it for a moment. */
const CONNECTIONS_MAX = 8;

export class ControlServer {
  readonly #options: ControlServerOptions;
  readonly #connections = new Set<Socket>();
  #server: Server | undefined;

  constructor(options: ControlServerOptions) {
    this.#options = options;
  }

  /** @throws SwarmError `in-use` when another process answers there: one resolver a directory. */
  async listen(): Promise<void> {
    const { path } = this.#options;
    if (await socketAnswers(path))
      throw new SwarmError({
        code: 'precondition',
        reason: 'in-use',
        message: `another resolver answers at ${path}`,
      });
    await unlink(path).catch(() => {});
    const server = createServer((connection) => this.#serve(connection));
    server.maxConnections = CONNECTIONS_MAX;
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(path, resolve);
    });
    server.removeAllListeners('error');
    server.on('error', () => {});
    // The directory is private already.
    await chmod(path, 0o600);
    this.#server = server;
  }

  /** Removes the socket from its path at once. */
  close(): void {
    this.#server?.close();
    this.#server = undefined;
    for (const connection of this.#connections) connection.destroy();
  }

  #serve(connection: Socket): void {
    this.#connections.add(connection);
    connection.on('error', () => connection.destroy());
    connection.once('close', () => this.#connections.delete(connection));
    const reader = new FrameReader();
    let lane: Promise<void> = Promise.resolve();
    connection.on('data', (chunk) => {
      try {
        for (const message of reader.push(chunk)) {
          const request = ResolverRequest.decode(message);
          lane = lane.then(() => this.#answer(connection, request));
        }
      } catch (error) {
        this.#options.logger.warn('the daemon sent something else', { error: SwarmError.from(error).message });
        connection.destroy();
      }
    });
  }

  async #answer(connection: Socket, { sequence, request }: ResolverRequest): Promise<void> {
    const { service, onRetire, logger } = this.#options;
    let problem = '';
    switch (request?.kind) {
      case 'update':
        await service.apply(request.value).catch((error: unknown) => {
          problem = SwarmError.from(error).message;
          logger.error('an update could not be applied', { error: problem });
        });
        break;
      case 'hello':
        break;
      case 'retire':
        // Gone from its path before the answer, so that the next one can have it.
        this.#server?.close();
        this.#server = undefined;
        this.#send(connection, sequence, '');
        connection.end();
        onRetire(request.value.now);
        return;
      case undefined:
        problem = 'a request that this release does not know';
        break;
    }
    this.#send(connection, sequence, problem === '' ? service.problem : problem);
  }

  #send(connection: Socket, sequence: number, problem: string): void {
    const { service, programVersion } = this.#options;
    const { version, warnings } = service;
    const reply = ResolverReply.create({ sequence, version, problem, programVersion, pid: process.pid, warnings });
    if (!connection.destroyed) connection.write(frame(ResolverReply.encode(reply)));
  }
}
