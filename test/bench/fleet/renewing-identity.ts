/** The certificate of a simulated node: what the daemon does to renew it, on a file system in memory. */
import { createPrivateKey } from 'node:crypto';
import { mkdtemp } from 'node:fs/promises';
import { join } from 'node:path';
import { dialCa, IdentityStore, type LoadedIdentity, RENEWAL_CONFIG } from '#agent/identity/index.ts';
import type { Session } from '#agent/session/index.ts';
import type { TlsIdentity } from '#certs/tls.ts';
import { silentLogger } from '#common/log.ts';
import { systemClock } from '#common/system/clock.ts';
import { systemRandom } from '#common/system/random.ts';
import { IssuanceState, NodeCertificate as Issued, Node, type NodeTls } from '#gen/swarm/v1/objects.ts';
import { NodeCertificate } from '#src/swarmd/node-certificate.ts';
import type { AgentIdentity } from '../discovery/describe-agent.ts';

/** A thousand nodes have a thousand disks, of which this machine has one: what they sync is no part of the measurement. */
const MEMORY = '/dev/shm';
/** The session moves to the new connection within so much of a day's certificate: half a minute. */
const MOVE_SHARE = 30 / 86_400;

export interface RenewalHooks {
  readonly managers: () => readonly string[];
  readonly session: () => Pick<Session, 'link' | 'reopen'>;
  readonly redescribe: () => void;
}

export class RenewingIdentity {
  readonly #first: AgentIdentity;
  readonly #hooks: RenewalHooks;
  #loaded: LoadedIdentity | undefined;
  #certificate: NodeCertificate | undefined;
  /** One change at a time. */
  #turn: Promise<unknown> = Promise.resolve();
  renewed = 0;

  constructor(first: AgentIdentity, hooks: RenewalHooks) {
    this.#first = first;
    this.#hooks = hooks;
  }

  /** What connections show. */
  readonly tls = (): TlsIdentity => this.#loaded?.tls ?? this.#first;

  get described(): NodeTls | undefined {
    return this.#certificate?.described();
  }

  sessionOpens(): void {
    this.#certificate?.sessionOpens('elsewhere');
  }

  get failures(): number {
    return this.#certificate?.renewal.failedTotal ?? 0;
  }

  /** Gets another certificate, as if a manager had asked for it. Goes on by itself. */
  async renew(): Promise<void> {
    this.#certificate ??= await this.#prepare();
    const state = IssuanceState.ROTATE;
    const certificate = Issued.create({ state, certificatePem: Buffer.from(this.tls().certificatePem) });
    this.#certificate.nodeTold(Node.create({ certificate }));
  }

  async #prepare(): Promise<NodeCertificate> {
    const directory = await mkdtemp(join(MEMORY, 'starling-fleet-'));
    directories.push(directory);
    const store = new IdentityStore(directory, async () => ({ machine: undefined, product: undefined }));
    const { certificatePem, privateKeyPem, rootsPem } = this.#first;
    await store.install({
      privateKey: createPrivateKey(privateKeyPem),
      certificatePem,
      rootPem: rootsPem,
      managers: [],
      addresses: { listen: '', advertise: '', dataPath: '' },
    });
    this.#loaded = await store.load(Date.now());
    const certificate = new NodeCertificate({
      parts: { clock: systemClock, random: systemRandom, logger: silentLogger },
      config: { ...RENEWAL_CONFIG, moveEarliest: 0, moveLatest: MOVE_SHARE },
      store,
      current: () => this.#loaded as LoadedIdentity, // installed above
      replace: (next) => this.#replace(next),
      turn: (run) => {
        const turn = this.#turn.then(run);
        this.#turn = turn.catch(() => {});
        return turn;
      },
      managers: () => ({ own: undefined, others: this.#hooks.managers() }),
      dial: dialCa,
      session: this.#hooks.session,
    });
    certificate.sessionOpens('elsewhere'); // the one that stands was opened with the first certificate
    return certificate;
  }

  #replace(next: LoadedIdentity): void {
    this.#loaded = next;
    this.renewed++;
    this.#certificate?.replaced();
    this.#hooks.redescribe();
  }
}

/** Of this process, to be removed at its end. */
export const directories: string[] = [];
