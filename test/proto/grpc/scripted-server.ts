/** A real server on a socket of its own, with handlers that a test scripts, and a connection to it. */
import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { SwarmError } from '#common/errors.ts';
import { type LogFields, type Logger, silentLogger } from '#common/log.ts';
import { ControlService } from '#gen/swarm/v1/control.ts';
import { CheckResponse, HealthService, ServingState } from '#gen/swarm/v1/health.ts';
import { ImageService } from '#gen/swarm/v1/images.ts';
import { createClient } from '#proto/grpc/client.ts';
import { GrpcTransport } from '#proto/grpc/grpc-transport.ts';
import type { Handlers } from '#proto/grpc/methods.ts';
import { type FinishedCall, RpcServer } from '#proto/grpc/server.ts';
import { SocketTransport } from '#proto/grpc/socket-transport.ts';
import type { Transport } from '#proto/grpc/transport.ts';

type Images = Handlers<typeof ImageService>;
type Control = Handlers<typeof ControlService>;

/** What the handlers do; every test sets its own. */
export interface Script {
  check: Handlers<typeof HealthService>['check'];
  listNodes: Control['listNodes'];
  loadImage: Images['loadImage'];
  buildImage: Images['buildImage'];
}

function notScripted(): never {
  throw new SwarmError({ code: 'unimplemented', reason: 'not-supported', message: 'not scripted' });
}

export class ScriptedServer {
  readonly script: Script = {
    check: notScripted,
    listNodes: notScripted,
    loadImage: notScripted,
    buildImage: notScripted,
  };
  /** Errors in the server's log. */
  readonly logged: { readonly message: string; readonly fields: LogFields | undefined }[] = [];
  readonly finished: FinishedCall[] = [];
  readonly directory: string;
  readonly path: string;
  server: RpcServer;

  private constructor(directory: string) {
    this.directory = directory;
    this.path = join(directory, 'test.sock');
    this.server = this.#newServer();
  }

  static async start(): Promise<ScriptedServer> {
    const made = new ScriptedServer(await mkdtemp(join(tmpdir(), 'rpc-')));
    await made.server.listenSocket(made.path);
    return made;
  }

  /** Another server at the same path, after the first was closed. */
  async startAgain(): Promise<void> {
    this.server = this.#newServer();
    await this.server.listenSocket(this.path);
  }

  async close(): Promise<void> {
    await this.server.close(0);
    await rm(this.directory, { recursive: true, force: true });
  }

  #newServer(): RpcServer {
    const { script } = this;
    const logger: Logger = { ...silentLogger, error: (message, fields) => this.logged.push({ message, fields }) };
    const server = new RpcServer({ trust: { kind: 'local' }, logger, onCall: (call) => this.finished.push(call) });
    server.addService(HealthService, { check: (request, context) => script.check(request, context) });
    const { listNodes } = ControlService;
    server.addService(
      { listNodes },
      { listNodes: (request, context, responses) => script.listNodes(request, context, responses) },
    );
    const { loadImage, buildImage } = ImageService;
    server.addService(
      { loadImage, buildImage },
      {
        loadImage: (requests, context) => script.loadImage(requests, context),
        buildImage: (requests, context, responses) => script.buildImage(requests, context, responses),
      },
    );
    return server;
  }
}

const TRANSPORTS: readonly (readonly [string, (path: string) => Transport])[] = [
  ['grpc-js', (path) => new GrpcTransport({ target: { kind: 'socket', name: path } })],
  ['the local socket', (path) => new SocketTransport(path)],
];

/** A scripted server of the test that runs, and a connection to it. */
export class Calls {
  readonly #connect: (path: string) => Transport;
  #host: ScriptedServer | undefined;
  #transport: Transport | undefined;

  constructor(connect: (path: string) => Transport) {
    this.#connect = connect;
  }

  async open(): Promise<void> {
    this.#host = await ScriptedServer.start();
    this.#transport = this.connect();
  }

  async close(): Promise<void> {
    this.#transport?.close();
    await this.#host?.close();
  }

  get host(): ScriptedServer {
    assert.ok(this.#host);
    return this.#host;
  }

  get transport(): Transport {
    assert.ok(this.#transport);
    return this.#transport;
  }

  /** A connection beside that of `transport`, which the caller closes. */
  connect(): Transport {
    return this.#connect(this.host.path);
  }

  readonly health = () => createClient(HealthService, this.transport);
  readonly control = () => createClient(ControlService, this.transport);
  readonly images = () => createClient(ImageService, this.transport);

  /** So many on the same connection that whoever is held back by nothing would have come to the end meanwhile. */
  async comeAndGo(): Promise<void> {
    this.host.script.check = () => Promise.resolve(CheckResponse.create({ state: ServingState.SERVING }));
    for (let call = 0; call < 200; call++) await this.health().check({});
  }
}

/** Describes calls over each transport; every test has a server and a connection of its own. */
export function describeCalls(about: string, tests: (calls: Calls) => void): void {
  for (const [name, connect] of TRANSPORTS)
    describe(`calls over ${name}${about}`, () => {
      const calls = new Calls(connect);
      beforeEach(() => calls.open());
      afterEach(() => calls.close());
      tests(calls);
    });
}

export async function collect<T>(messages: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const message of messages) all.push(message);
  return all;
}
