/** One manager of the benchmark: its log, its server and its transport; does what the parent asks for. */
import { peerIdentity } from '#certs/peer.ts';
import { NodeServerCredentials, type TlsIdentity } from '#certs/tls.ts';
import { silentLogger } from '#common/log.ts';
import { RaftService } from '#gen/swarm/v1/raft.ts';
import type { LogEntry, StateMachine } from '#manager/log/index.ts';
import { GrpcPeerTransport, type JoinedAs, type LogOrigin, RaftLog, raftHandlers } from '#manager/raft/index.ts';
import type { Codec } from '#proto/codec.ts';
import { RpcServer } from '#proto/grpc/server.ts';

export interface MemberOptions {
  readonly directory: string;
  readonly nodeId: string;
  readonly clusterId: string;
  readonly tls: TlsIdentity;
}

export type Request =
  | { readonly kind: 'found' }
  | { readonly kind: 'add'; readonly nodeId: string; readonly address: string }
  | { readonly kind: 'join'; readonly joined: unknown }
  | { readonly kind: 'all-voters'; readonly count: number }
  | { readonly kind: 'leads' };

export type Answer =
  | { readonly kind: 'done'; readonly value: unknown }
  | { readonly kind: 'failed'; readonly message: string };

/** A method that managers may call, with messages of its own: bytes there, nothing back. */
export const PROPOSE_PATH = '/swarm.v1.ControlService/UpdateNode';

const TIMEOUT_MS = 10_000;
const KEY_BYTES = 8;

const bytesCodec: Codec<Uint8Array> = {
  typeName: 'bytes',
  create: () => new Uint8Array(),
  encode: (bytes) => bytes,
  decode: (bytes) => bytes,
  write: () => {},
  read: () => new Uint8Array(),
};

const ProposeService = {
  propose: {
    path: PROPOSE_PATH,
    requestStream: false,
    responseStream: false,
    request: bytesCodec,
    response: bytesCodec,
  },
} as const;

/** Keys and values in memory. */
class KeyValues implements StateMachine {
  readonly #values = new Map<string, Uint8Array>();

  apply({ data }: LogEntry): void {
    this.#values.set(Buffer.from(data.buffer, data.byteOffset, KEY_BYTES).toString('latin1'), data);
  }

  *snapshot(): Generator<Uint8Array> {
    for (const entries of chunked([...this.#values.values()])) yield Buffer.concat(entries);
  }

  async restore(_position: unknown, chunks: AsyncIterable<Uint8Array>): Promise<void> {
    for await (const chunk of chunks) void chunk;
  }
}

function* chunked(values: readonly Uint8Array[]): Generator<readonly Uint8Array[]> {
  const size = 256;
  for (let start = 0; start < values.length; start += size) yield values.slice(start, start + size);
}

class MemberProcess {
  readonly #options: MemberOptions;
  readonly #transport: GrpcPeerTransport;
  #address = '';
  #log: RaftLog | undefined;

  constructor(options: MemberOptions) {
    this.#options = options;
    const { clusterId, tls } = options;
    this.#transport = new GrpcPeerTransport({ tls: () => tls, clusterId, logger: silentLogger });
  }

  async listen(): Promise<string> {
    const server = new RpcServer({
      trust: {
        kind: 'certificate',
        identify: (call) => peerIdentity(call, Date.now()),
        clusterId: () => this.#options.clusterId,
      },
      logger: silentLogger,
    });
    const nothing = new Uint8Array();
    server.addService(RaftService, raftHandlers(this.#transport));
    server.addService(ProposeService, {
      propose: async (data) => {
        await this.#running().propose(data, { timeoutMs: TIMEOUT_MS });
        return nothing;
      },
    });
    const port = await server.listen('127.0.0.1:0', new NodeServerCredentials(this.#options.tls));
    this.#address = `127.0.0.1:${port}`;
    return this.#address;
  }

  async answer(request: Request): Promise<unknown> {
    switch (request.kind) {
      case 'found':
        return this.#start({ kind: 'found' });
      case 'join':
        return this.#start({ kind: 'join', join: () => Promise.resolve(request.joined as JoinedAs) });
      case 'add': {
        const { nodeId, address } = request;
        const log = this.#running();
        const member = await log.addMember({ nodeId, address, featureLevel: 1 }, { timeoutMs: TIMEOUT_MS });
        return { raftId: member.raftId, members: log.members() } satisfies JoinedAs;
      }
      case 'all-voters':
        return this.#allVoters(request.count);
      case 'leads':
        return this.#running().leadership().state === 'leader';
    }
  }

  #running(): RaftLog {
    if (this.#log === undefined) throw new Error('the log is not running');
    return this.#log;
  }

  async #start(origin: LogOrigin): Promise<void> {
    this.#log = new RaftLog({
      directory: this.#options.directory,
      keys: { current: new Uint8Array(32).fill(1) },
      logger: silentLogger,
      transport: this.#transport,
      nodeId: this.#options.nodeId,
      address: () => this.#address,
      featureLevel: 1,
      origin,
      onRemoved: () => process.exit(1),
    });
    await this.#log.start(new KeyValues());
  }

  #allVoters(count: number): Promise<void> {
    const log = this.#running();
    return new Promise((resolve) => {
      const look = (): void => {
        if (log.members().filter(({ voter }) => voter).length !== count) return;
        stop();
        resolve();
      };
      const stop = log.onMembers(look);
      look();
    });
  }
}

async function main(): Promise<void> {
  const member = new MemberProcess(JSON.parse(process.argv[2] ?? '{}') as MemberOptions);
  const send = (answer: Answer): void => void process.send?.(answer);
  process.on('message', (request: Request) => {
    member.answer(request).then(
      (value) => send({ kind: 'done', value }),
      (error: unknown) => send({ kind: 'failed', message: String(error) }),
    );
  });
  // What the benchmark leaves behind it removes; this is only to end, also when the parent is gone.
  process.on('disconnect', () => process.exit());
  process.on('SIGTERM', () => process.exit());
  send({ kind: 'done', value: await member.listen() });
}

if (process.send !== undefined) await main();
