/** A manager's CA service on loopback: the real certificate authority behind a real gRPC server with mutual TLS. */
import assert from 'node:assert/strict';
import { Metadata, Server, type ServerUnaryCall, type sendUnaryData } from '@grpc/grpc-js';
import { dialCa, IDENTITY_CONFIG, type IdentityStore, type JoinOptions } from '#agent/identity/index.ts';
import { certificateDigest } from '#certs/authority.ts';
import { parseCertificates } from '#certs/certificate.ts';
import { privateKeyPem } from '#certs/key-file.ts';
import { peerIdentity } from '#certs/peer.ts';
import { NodeServerCredentials, type TlsIdentity } from '#certs/tls.ts';
import { silentLogger } from '#common/log.ts';
import { systemClock } from '#common/system/clock.ts';
import { systemRandom } from '#common/system/random.ts';
import {
  CertificateAuthorityService,
  type GetNodeCertificateStatusRequest,
  type IssueNodeCertificateRequest,
} from '#gen/swarm/v1/ca.ts';
import { NodeAvailability } from '#gen/swarm/v1/specs.ts';
import { bootstrapCluster, CA_CONFIG, type CaCaller, CertificateAuthority } from '#manager/ca/index.ts';
import type { AnyCodec } from '#proto/codec.ts';
import { GRPC_ERROR_KEY, toGrpcError } from '#proto/grpc-error.ts';
import { MemoryStore } from '#test/manager/ca/memory-store.ts';

type Call = ServerUnaryCall<unknown, unknown>;

export class CaServer {
  readonly store = new MemoryStore();
  readonly authority: CertificateAuthority;
  /** Calls by method name, in order. */
  readonly calls: string[] = [];
  /** Called before a method is carried out; may throw in its place. */
  before: (method: string) => Promise<void> | void = () => {};
  /** Called after a method was carried out; may throw away its answer. */
  after: (method: string) => Promise<void> | void = () => {};
  tls: TlsIdentity | undefined;
  address = '';
  readonly #clockOffsetMs: number;
  #server: Server | undefined;

  constructor(clockOffsetMs = 0) {
    this.#clockOffsetMs = clockOffsetMs;
    this.authority = new CertificateAuthority({
      store: this.store,
      clock: { ...systemClock, now: () => Date.now() + clockOffsetMs },
      logger: silentLogger,
      config: CA_CONFIG,
      featureLevel: 1,
      managers: () => [{ nodeId: 'm'.repeat(25), address: '192.0.2.9:2377' }],
      isMember: () => false,
    });
  }

  async start(): Promise<this> {
    const { cluster, node, identity } = bootstrapCluster({
      nowMs: Date.now() + this.#clockOffsetMs,
      random: systemRandom,
      hostname: 'manager',
      availability: NodeAvailability.ACTIVE,
      featureLevel: 1,
    });
    await this.store.commit([
      { kind: 'create', table: 'cluster', object: cluster },
      { kind: 'create', table: 'node', object: node },
    ]);
    this.tls = {
      certificatePem: identity.certificatePem,
      privateKeyPem: privateKeyPem(identity.keys.privateKey),
      rootsPem: identity.rootPem,
    };
    this.address = await this.#listen(this.tls);
    return this;
  }

  stop(): void {
    this.#server?.forceShutdown();
  }

  token(role: 'worker' | 'manager'): string {
    return this.store.view().cluster()?.rootCa?.joinTokens?.[role] ?? '';
  }

  /** A worker's join at this manager. */
  joinOptions(store: IdentityStore): JoinOptions {
    return {
      store,
      token: this.token('worker'),
      managers: [this.address],
      hostname: 'web-1',
      availability: NodeAvailability.ACTIVE,
      addresses: { listen: '0.0.0.0:2377', advertise: '192.0.2.2', dataPath: '' },
      newIdentity: false,
      dial: dialCa,
      clock: systemClock,
      random: systemRandom,
      logger: silentLogger,
      config: IDENTITY_CONFIG,
    };
  }

  get rootDigest(): string {
    const [root] = parseCertificates(this.tls?.rootsPem ?? '');
    return root === undefined ? '' : certificateDigest(root);
  }

  async #listen(identity: TlsIdentity): Promise<string> {
    const server = new Server();
    const { authority } = this;
    this.#add(server, 'getRootCertificate', () => authority.getRootCertificate());
    this.#add(server, 'issueNodeCertificate', (request: IssueNodeCertificateRequest, caller) =>
      authority.issueNodeCertificate(request, caller),
    );
    this.#add(server, 'getNodeCertificateStatus', (request: GetNodeCertificateStatusRequest) =>
      authority.getNodeCertificateStatus(request, 500),
    );
    this.#server = server;
    const port = await new Promise<number>((resolve, reject) => {
      server.bindAsync('127.0.0.1:0', new NodeServerCredentials(identity), (error, bound) =>
        error === null ? resolve(bound) : reject(error),
      );
    });
    return `127.0.0.1:${port}`;
  }

  #add<Q>(
    server: Server,
    name: keyof typeof CertificateAuthorityService,
    handle: (request: Q, caller: CaCaller) => unknown,
  ): void {
    const method: { path: string; request: AnyCodec; response: AnyCodec } = CertificateAuthorityService[name];
    const definition = {
      path: method.path,
      requestStream: false,
      responseStream: false,
      requestSerialize: (message: unknown) => Buffer.from(method.request.encode(message)),
      requestDeserialize: (bytes: Buffer): unknown => method.request.decode(bytes),
      responseSerialize: (message: unknown) => Buffer.from(method.response.encode(message)),
      responseDeserialize: (bytes: Buffer): unknown => method.response.decode(bytes),
    } as const;
    const answer = async (call: Call): Promise<unknown> => {
      this.calls.push(name);
      await this.before(name);
      const identity = peerIdentity(call, Date.now() + this.#clockOffsetMs);
      assert(identity?.kind !== 'client', 'nodes call');
      const result = await handle(call.request as Q, { identity, address: call.getPeer() });
      await this.after(name);
      return result;
    };
    const serve = async (call: Call, callback: sendUnaryData<unknown>): Promise<void> => {
      try {
        callback(null, await answer(call));
      } catch (thrown) {
        const { code, details, extra } = toGrpcError(thrown);
        const metadata = new Metadata();
        if (extra !== undefined) metadata.set(GRPC_ERROR_KEY, Buffer.from(extra));
        callback({ code, details, metadata });
      }
    };
    server.addService(
      { [name]: definition },
      { [name]: (call: Call, callback: sendUnaryData<unknown>) => void serve(call, callback) },
    );
  }
}
