/** Managers of a test: real servers and certificates on loopback, with handlers that write down what they are told. */
import assert from 'node:assert/strict';
import { type Message, message } from 'raft-ts';
import type { Authority } from '#certs/authority.ts';
import { peerIdentity } from '#certs/peer.ts';
import { NodeServerCredentials } from '#certs/tls.ts';
import { SwarmError } from '#common/errors.ts';
import { type LogFields, type Logger, silentLogger } from '#common/log.ts';
import { SeededRandom } from '#common/random.ts';
import { RaftMember, RaftService } from '#gen/swarm/v1/raft.ts';
import type { PeerHandler } from '#manager/raft/peer-transport.ts';
import type { PeerTransportConfig } from '#manager/raft/transport/config.ts';
import { GrpcPeerTransport } from '#manager/raft/transport/grpc-peer-transport.ts';
import { raftHandlers } from '#manager/raft/transport/raft-handlers.ts';
import { RpcServer } from '#proto/grpc/server.ts';
import { CLUSTER_ID, type TestNode, testNode } from '../../../certs/fixtures.ts';

const DEADLINE_MS = 10_000;

/** A condition that is looked at again whenever something happened. */
export class Happenings {
  readonly #waiting = new Set<() => void>();

  note(): void {
    for (const look of this.#waiting) look();
  }

  async until(what: string, condition: () => boolean): Promise<void> {
    if (condition()) return;
    await new Promise<void>((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#waiting.delete(look);
        reject(new assert.AssertionError({ message: `timed out waiting for ${what}` }));
      }, DEADLINE_MS);
      const look = (): void => {
        if (!condition()) return;
        clearTimeout(timer);
        this.#waiting.delete(look);
        resolve();
      };
      this.#waiting.add(look);
    });
  }
}

/** Quick enough for tests, slow enough for a busy machine. */
export const TEST_CONFIG: Partial<PeerTransportConfig> = {
  pingIntervalMs: 50,
  reconnect: { baseMs: 10, maxMs: 100, factor: 2, jitter: 0.5 },
};

export interface ReceivedSnapshot {
  readonly from: number;
  readonly message: Message;
  readonly chunks: Uint8Array[];
  outcome: 'running' | 'whole' | SwarmError;
}

export class TestManager implements PeerHandler {
  node: TestNode;
  readonly happenings = new Happenings();
  transport: GrpcPeerTransport;
  member: RaftMember;
  /** What `hello` answers instead of the welcome. */
  refusal: SwarmError | undefined;
  /** Members that its log does not name, with what is wrong with them; it names everybody else. */
  readonly strangers = new Map<number, SwarmError | undefined>();
  /** What a snapshot's handler does before it takes each chunk. */
  beforeChunk: (count: number) => Promise<void> | void = () => {};
  readonly hellos: { readonly raftId: number; readonly to: number; readonly nodeId: string }[] = [];
  readonly received: Message[] = [];
  /** How many messages came at once. */
  readonly batches: number[] = [];
  readonly snapshots: ReceivedSnapshot[] = [];
  /** `unreachable 2`, `gone 2`, `refused 2 node-removed`, in order. */
  readonly told: string[] = [];
  readonly warned: { readonly message: string; readonly fields: LogFields | undefined }[] = [];
  /** Waits for the next attempt to connect that were drawn at random. */
  backoffs = 0;
  readonly #random = new SeededRandom(1);
  readonly #config: Partial<PeerTransportConfig>;
  readonly #authority: Authority;
  #credentials: NodeServerCredentials | undefined;
  #server: RpcServer;

  constructor(authority: Authority, raftId: number, config: Partial<PeerTransportConfig> = {}) {
    this.#authority = authority;
    this.node = testNode(authority, 'manager');
    this.#config = { ...TEST_CONFIG, ...config };
    this.member = RaftMember.create({ raftId, nodeId: this.node.identity.nodeId, address: '', featureLevel: 1 });
    this.transport = this.#newTransport();
    this.#server = this.#newServer();
  }

  get raftId(): number {
    return this.member.raftId;
  }

  /** Listens; on the same port as before when it did. */
  async listen(): Promise<this> {
    this.#credentials = new NodeServerCredentials(this.node);
    const port = await this.#server.listen(this.member.address || '127.0.0.1:0', this.#credentials);
    this.member = { ...this.member, address: `127.0.0.1:${port}` };
    return this;
  }

  /** Another key and certificate for the same node, hot. */
  renewCertificate(): void {
    this.node = testNode(this.#authority, 'manager', { identity: this.node.identity });
    this.#credentials?.replace(this.node);
  }

  endExpired(nowMs: number): void {
    this.#server.endExpired(nowMs);
  }

  /** The process is gone and comes back, as far as others can tell. */
  async stop(): Promise<void> {
    await this.transport.close();
    await this.#server.close(0);
  }

  async restart(): Promise<void> {
    this.transport = this.#newTransport();
    this.#server = this.#newServer();
    await this.listen();
  }

  knows(...others: readonly (TestManager | RaftMember)[]): void {
    this.transport.setPeers(others.map((other) => (other instanceof TestManager ? other.member : other)));
  }

  async connectedTo(raftId: number): Promise<void> {
    await this.happenings.until(
      `${this.raftId} to be connected to ${raftId}`,
      () => this.transport.peer(raftId)?.connected === true,
    );
  }

  messageTo(to: number, fields: { readonly type: Message['type'] } & Partial<Message>): Message {
    return message({ to, from: this.raftId, term: 1, ...fields });
  }

  /** Entries of so many bytes after the index. */
  appendTo(to: number, index: number, count: number, bytes: number): Message {
    const entries = Array.from({ length: count }, (_, position) => ({
      type: 'EntryNormal' as const,
      term: 1,
      index: index + 1 + position,
      data: new Uint8Array(bytes).fill((index + 1 + position) % 251),
    }));
    return this.messageTo(to, { type: 'MsgApp', index, logTerm: 1, entries });
  }

  timesTold(what: string): number {
    return this.told.filter((one) => one === what).length;
  }

  self(): RaftMember {
    return this.member;
  }

  hello(hello: { readonly from: RaftMember; readonly to: number }, nodeId: string): RaftMember | SwarmError {
    this.hellos.push({ raftId: hello.from.raftId, to: hello.to, nodeId });
    this.happenings.note();
    if (this.refusal !== undefined) return this.refusal;
    if (hello.to !== this.raftId || hello.from.nodeId !== nodeId)
      return new SwarmError({ code: 'denied', reason: 'wrong-member', message: 'that is somebody else' });
    return this.member;
  }

  isNamed(raftId: number): boolean {
    return !this.strangers.has(raftId);
  }

  forget(raftId: number): void {
    this.#tell(`forget ${raftId}`);
  }

  messages(from: number, messages: readonly Message[]): void {
    for (const one of messages) assert.equal(one.from, from);
    this.received.push(...messages);
    this.batches.push(messages.length);
    this.happenings.note();
  }

  async snapshot(from: number, header: Message, chunks: AsyncIterable<Uint8Array>): Promise<void> {
    const snapshot: ReceivedSnapshot = { from, message: header, chunks: [], outcome: 'running' };
    this.snapshots.push(snapshot);
    this.happenings.note();
    try {
      await this.beforeChunk(0);
      for await (const chunk of chunks) {
        snapshot.chunks.push(chunk);
        this.happenings.note();
        await this.beforeChunk(snapshot.chunks.length);
      }
      snapshot.outcome = 'whole';
    } catch (error) {
      snapshot.outcome = SwarmError.from(error);
      throw error;
    } finally {
      this.happenings.note();
    }
  }

  unreachable(raftId: number): void {
    this.#tell(`unreachable ${raftId}`);
  }

  gone(raftId: number): void {
    this.#tell(`gone ${raftId}`);
  }

  refused(raftId: number, error: SwarmError): void {
    this.#tell(`refused ${raftId} ${error.reason}`);
  }

  changed(): void {
    this.happenings.note();
  }

  #tell(what: string): void {
    this.told.push(what);
    this.happenings.note();
  }

  #newTransport(): GrpcPeerTransport {
    const logger: Logger = {
      ...silentLogger,
      warn: (text, fields) => {
        this.warned.push({ message: text, fields });
        this.happenings.note();
      },
      error: (text) => assert.fail(text),
      with: () => logger,
    };
    const transport = new GrpcPeerTransport({
      tls: () => this.node,
      clusterId: CLUSTER_ID,
      logger,
      random: {
        next: () => {
          this.backoffs++;
          this.happenings.note();
          return this.#random.next();
        },
      },
      config: this.#config,
    });
    transport.start(this);
    return transport;
  }

  #newServer(): RpcServer {
    const server = new RpcServer({
      trust: {
        kind: 'certificate',
        identify: (call) => peerIdentity(call, Date.now()),
        clusterId: () => CLUSTER_ID,
      },
      logger: { ...silentLogger, error: (text, fields) => assert.fail(`${text} ${JSON.stringify(fields)}`) },
    });
    server.addService(
      RaftService,
      raftHandlers(this.transport, ({ nodeId }) => {
        const raftId = this.hellos.findLast((hello) => hello.nodeId === nodeId)?.raftId;
        return raftId === undefined ? undefined : this.strangers.get(raftId);
      }),
    );
    return server;
  }
}
