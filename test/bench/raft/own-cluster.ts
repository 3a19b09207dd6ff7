/** Three managers' logs on loopback, each in a process of its own: disk, encryption and mutual TLS as in the daemon. */
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { credentials } from '@grpc/grpc-js';
import { type Authority, createRootAuthority, issueNodeCertificate } from '#certs/authority.ts';
import { certificatesPem } from '#certs/certificate.ts';
import { CERTIFICATE_CONFIG } from '#certs/config.ts';
import { generateKeyPair, publicKeyDer } from '#certs/key.ts';
import { privateKeyPem } from '#certs/key-file.ts';
import type { TlsIdentity } from '#certs/tls.ts';
import { newId } from '#common/ids.ts';
import { systemRandom } from '#common/system/random.ts';
import { processorMs, stopChild } from './children.ts';
import type { PutTarget } from './load.ts';
import { type Answer, type MemberOptions, PROPOSE_PATH, type Request } from './member-process.ts';

const MEMBERS = 3;
/** Names a directory: every member writes what its processor did there. */
const PROFILE_VARIABLE = 'BENCH_PROFILE';

export class OwnCluster {
  readonly #members: Member[] = [];
  readonly #authority: Authority = createRootAuthority(Date.now());
  readonly #clusterId = newId(systemRandom);

  async start(directory: string): Promise<void> {
    await mkdir(directory);
    for (let index = 0; index < MEMBERS; index++) {
      const nodeId = newId(systemRandom);
      const member = new Member({
        directory: join(directory, `m${index}`),
        nodeId,
        clusterId: this.#clusterId,
        tls: this.#identity(nodeId),
      });
      this.#members.push(member);
      await member.listening();
    }
    const [first, ...others] = this.#members;
    if (first === undefined) throw new Error('a cluster has members');
    await first.ask({ kind: 'found' });
    for (const member of others) {
      const { nodeId, address } = member;
      const joined = await first.ask({ kind: 'add', nodeId, address });
      await member.ask({ kind: 'join', joined });
    }
    await first.ask({ kind: 'all-voters', count: MEMBERS });
  }

  /** The leader, as whom all clients write to. */
  async leader(): Promise<PutTarget> {
    for (const member of this.#members) {
      if ((await member.ask({ kind: 'leads' })) !== true) continue;
      const client = this.#identity(newId(systemRandom));
      return {
        address: member.address,
        credentials: credentials.createSsl(
          Buffer.from(client.rootsPem),
          Buffer.from(client.privateKeyPem),
          Buffer.from(client.certificatePem),
          { checkServerIdentity: () => undefined },
        ),
        path: PROPOSE_PATH,
        request: (key, value) => Buffer.concat([key, value]),
      };
    }
    throw new Error('no manager leads');
  }

  processorMs(): Promise<number> {
    return processorMs(this.#members.map(({ child }) => child));
  }

  async stop(): Promise<void> {
    await Promise.all(this.#members.map((member) => member.stop()));
  }

  #identity(nodeId: string): TlsIdentity {
    const keys = generateKeyPair();
    const certificatePem = issueNodeCertificate(this.#authority, {
      identity: { nodeId, role: 'manager', clusterId: this.#clusterId },
      publicKeyDer: publicKeyDer(keys.publicKey),
      nowMs: Date.now(),
      lifetimeMs: CERTIFICATE_CONFIG.nodeLifetimeMs,
    });
    return {
      certificatePem,
      privateKeyPem: privateKeyPem(keys.privateKey),
      rootsPem: certificatesPem([this.#authority.certificate]),
    };
  }
}

/** The parent's side of a member's process. */
class Member {
  readonly nodeId: string;
  address = '';
  readonly child: ChildProcess;

  constructor(options: MemberOptions) {
    this.nodeId = options.nodeId;
    const profile = process.env[PROFILE_VARIABLE];
    this.child = fork(join(import.meta.dirname, 'member-process.ts'), [JSON.stringify(options)], {
      execArgv: profile === undefined ? [] : ['--cpu-prof', '--cpu-prof-dir', profile],
    });
  }

  async listening(): Promise<void> {
    this.address = String(await this.#answer());
  }

  async ask(request: Request): Promise<unknown> {
    const answer = this.#answer();
    this.child.send(request);
    return answer;
  }

  stop(): Promise<void> {
    return stopChild(this.child);
  }

  /** The next message: one request is asked at a time. */
  async #answer(): Promise<unknown> {
    const abort = new AbortController();
    try {
      const ended = once(this.child, 'exit', { signal: abort.signal }).then(() => {
        throw new Error('a manager of the benchmark ended');
      });
      const [answer] = (await Promise.race([once(this.child, 'message', { signal: abort.signal }), ended])) as [Answer];
      if (answer.kind === 'failed') throw new Error(answer.message);
      return answer.value;
    } finally {
      abort.abort();
    }
  }
}
