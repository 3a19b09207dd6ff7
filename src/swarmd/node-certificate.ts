/**
 * The certificate of this node while it runs: renewed in time, roots followed, and what open connections have to do with
 * it. What is in use is changed by `replace` alone, one change at a time with those of the role.
 */
import {
  CertificateRenewer,
  type DialCa,
  IDENTITY_CONFIG,
  type IdentityStore,
  type LoadedIdentity,
  type RenewalConfig,
  type RenewalStatus,
  renewCertificate,
} from '#agent/identity/index.ts';
import type { Session } from '#agent/session/index.ts';
import { certificateDigest } from '#certs/authority.ts';
import { parseCertificates } from '#certs/certificate.ts';
import { SwarmError } from '#common/errors.ts';
import { randomInt } from '#common/random.ts';
import { CertificateInfo } from '#gen/swarm/v1/node.ts';
import { type Node, NodeTls } from '#gen/swarm/v1/objects.ts';
import type { DaemonParts } from './daemon-parts.ts';
import { SessionMove } from './session-move.ts';
import { ToldRoots } from './told-roots.ts';

export interface NodeCertificateOptions {
  readonly parts: Pick<DaemonParts, 'clock' | 'random' | 'logger'>;
  readonly config: RenewalConfig;
  readonly store: IdentityStore;
  readonly current: () => LoadedIdentity;
  /** Takes another identity into use, hot. */
  readonly replace: (loaded: LoadedIdentity) => void;
  /** Runs when nothing else changes the identity. Rejects, with nothing run, when the node is no member any more. */
  readonly turn: <T>(run: () => Promise<T>) => Promise<T>;
  /** Managers that can be asked for a certificate, this node's own first if it serves. */
  readonly managers: () => { readonly own: string | undefined; readonly others: readonly string[] };
  readonly dial: DialCa;
  /** The session of this node's agent. */
  readonly session: () => Pick<Session, 'link' | 'reopen'>;
}

export class NodeCertificate {
  readonly #options: NodeCertificateOptions;
  readonly #renewer: CertificateRenewer;
  readonly #closing = new AbortController();
  readonly #move: SessionMove;
  readonly #roots: ToldRoots;

  constructor(options: NodeCertificateOptions) {
    this.#options = options;
    const { clock, random, logger } = options.parts;
    this.#renewer = new CertificateRenewer({
      current: () => options.current().identity,
      renew: () => options.turn(() => this.#renew()),
      // Within this process, where no TLS asks for it.
      renewsExpired: () => options.managers().own !== undefined,
      clock,
      random,
      logger: logger.with({ part: 'certificate' }),
      config: options.config,
    });
    this.#move = new SessionMove({
      current: () => options.current().identity,
      session: options.session,
      clock,
      random,
      config: options.config,
    });
    this.#roots = new ToldRoots({
      store: options.store,
      current: options.current,
      replace: options.replace,
      turn: options.turn,
      clock,
      random,
      logger,
      retry: options.config.retry,
    });
  }

  start(): void {
    this.#renewer.start();
  }

  /** Ends what is under way. */
  close(): void {
    this.#closing.abort(
      new SwarmError({ code: 'cancelled', reason: 'cancelled', message: 'the node gives up its certificate' }),
    );
    this.#renewer.close();
    this.#move.close();
    this.#roots.close();
  }

  get renewal(): RenewalStatus {
    return this.#renewer.status;
  }

  /** Another certificate, and with it another key, whatever the time. Rejects when none was issued. */
  renewNow(): Promise<void> {
    return this.#options.turn(() => this.#renew());
  }

  nodeTold(node: Node): void {
    this.#renewer.nodeTold(node.certificate);
  }

  lifetimeTold(lifetimeMs: number): void {
    this.#renewer.lifetimeTold(lifetimeMs);
  }

  /** A manager, which has shown that it is one, names the roots that the node is to trust. */
  rootsTold(pem: Uint8Array): void {
    this.#roots.told(pem);
  }

  /** The identity in use is another one. */
  replaced(): void {
    this.#renewer.replaced();
    this.#move.replaced();
    this.#roots.replaced();
  }

  /** A session is being opened, at a manager elsewhere or within this process. */
  sessionOpens(where: 'elsewhere' | 'here'): void {
    this.#move.opens(where);
  }

  /** What the node tells managers that it shows and trusts. */
  described(): NodeTls {
    return tlsOf({ identity: this.#move.shown, tls: this.#options.current().tls });
  }

  info(): CertificateInfo {
    const { state, renewalMs, failures, problem } = this.#renewer.status;
    return CertificateInfo.create({
      tls: tlsOf(this.#options.current()),
      renewalMs: state === 'over' ? 0 : renewalMs,
      failures,
      problem: (problem ?? this.#roots.problem)?.message ?? '',
    });
  }

  /** What needs somebody's attention; undefined when nothing does. */
  warning(): string | undefined {
    const { identity } = this.#options.current();
    const { problem, failures } = this.#renewer.status;
    const leftMs = identity.notAfterMs - this.#options.parts.clock.now();
    const isLate = leftMs < (identity.notAfterMs - identity.notBeforeMs) * WARNED_SHARE;
    if (problem === undefined || (failures > 0 && !isLate)) return undefined;
    const until = new Date(identity.notAfterMs).toISOString();
    if (leftMs <= 0) return problem.hint === undefined ? problem.message : `${problem.message}; ${problem.hint}`;
    return `the certificate of this node holds only until ${until}, and could not be renewed: ${problem.message}; see that it reaches a manager, or it will have to join again`;
  }

  async #renew(): Promise<void> {
    const { store, current, replace, dial, parts, managers } = this.#options;
    const { clock, random, logger } = parts;
    const { own, others } = managers();
    // Not all nodes at the same manager.
    const from = randomInt(random, Math.max(1, others.length));
    const rotated = [...others.slice(from), ...others.slice(0, from)];
    const renewed = await renewCertificate({
      store,
      current: current(),
      managers: own === undefined ? rotated : [own, ...rotated],
      dial,
      clock,
      logger,
      config: IDENTITY_CONFIG,
      signal: this.#closing.signal,
    });
    replace(renewed);
    const { notAfterMs, role } = renewed.identity;
    logger.info('the certificate of this node was renewed', { role, until: new Date(notAfterMs).toISOString() });
  }
}

/** A renewal that has failed is everybody's business when less than this share of the lifetime is left. */
const WARNED_SHARE = 0.2;

/** What the node shows and trusts, for managers. */
export function tlsOf({ identity, tls }: Pick<LoadedIdentity, 'identity' | 'tls'>): NodeTls {
  const { issuerKeyId, serial, notBeforeMs, notAfterMs } = identity;
  const trustedRoots = parseCertificates(tls.rootsPem, 'trusted roots').map(certificateDigest);
  return NodeTls.create({ trustedRoots, issuerKeyId, serial, notBeforeMs, notAfterMs });
}
