/**
 * Authorities outside of the swarm that sign for it, by the CFSSL protocol. They are tried in the order of the spec; one
 * that has just failed comes last for a while. Whatever they send is checked as if they were strangers.
 */
import { type Certificate, certificatesPem, parseCertificates } from '#certs/certificate.ts';
import { ROLE_UNITS } from '#certs/identity.ts';
import { nodeCertificateTimes, nodeDnsNames } from '#certs/node-certificate.ts';
import type { TlsIdentity } from '#certs/tls-client.ts';
import type { Clock } from '#common/clock.ts';
import { SwarmError } from '#common/errors.ts';
import type { Logger } from '#common/log.ts';
import type { ExternalCa } from '#gen/swarm/v1/specs.ts';
import type { SigningOrder } from '../node-signer.ts';
import { type CfsslOrder, cfsslSign } from './cfssl-request.ts';
import { checkSigned } from './check-signed.ts';
import type { ExternalConfig } from './config.ts';
import { SigningFailure } from './signing-failure.ts';

export interface ExternalAuthorityOptions {
  /** What this manager shows to the authority; undefined while it has no certificate. */
  readonly identity: () => TlsIdentity | undefined;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly config: ExternalConfig;
}

/** CFSSL's profile for a certificate that may sign others: what Swarm asks for when a root is cross-signed. */
const AUTHORITY_PROFILE = 'CA';

interface Rest {
  readonly failures: number;
  readonly untilMs: number;
  /** What was wrong, by its kind. */
  readonly summary: string;
}

export class ExternalAuthority {
  readonly #options: ExternalAuthorityOptions;
  /** By address. */
  readonly #resting = new Map<string, Rest>();

  constructor(options: ExternalAuthorityOptions) {
    this.#options = options;
  }

  /**
   * A node's certificate by the first of `authorities` that signs one as it was ordered; PEM, the leaf alone.
   * @throws SigningFailure `no-certificate` that names every address with what was wrong there
   */
  async sign(authorities: readonly ExternalCa[], root: Certificate, order: SigningOrder): Promise<string> {
    const times = nodeCertificateTimes(order, root);
    const request: CfsslOrder = {
      certificate_request: Buffer.from(order.csrPem).toString('latin1'),
      hosts: nodeDnsNames(order.identity),
      subject: {
        CN: order.identity.nodeId,
        names: [{ O: order.identity.clusterId, OU: ROLE_UNITS[order.identity.role] }],
      },
      not_before: new Date(times.notBeforeMs).toISOString(),
      not_after: new Date(times.notAfterMs).toISOString(),
    };
    return this.#first(authorities, root, request, (pem) =>
      certificatesPem([checkSigned(pem, order, root, times, this.#options.config.endToleranceMs)]),
    );
  }

  /**
   * The name and the key of a new root, signed by the present one, which only an authority outside has. `accept` checks
   * what came, and throws for what will not do.
   */
  async crossSign(
    authorities: readonly ExternalCa[],
    root: Certificate,
    csrPem: string,
    accept: (certificate: Certificate) => void,
  ): Promise<string> {
    return this.#first(authorities, root, { certificate_request: csrPem, profile: AUTHORITY_PROFILE }, (pem) => {
      const [certificate] = parseCertificates(pem, 'the certificate');
      if (certificate === undefined)
        throw new SwarmError({ code: 'unavailable', reason: 'bad-certificate', message: 'it sent no certificate' });
      accept(certificate);
      return certificatesPem([certificate]);
    });
  }

  async #first(
    authorities: readonly ExternalCa[],
    root: Certificate,
    request: CfsslOrder,
    accept: (pem: string) => string,
  ): Promise<string> {
    const { clock, config, identity, logger } = this.#options;
    const deadlineMs = clock.monotonic() + config.totalTimeoutMs;
    const problems: string[] = [];
    for (const authority of this.#inOrder(authorities)) {
      const leftMs = deadlineMs - clock.monotonic();
      if (leftMs <= 0) break;
      const { url, caCertPem, options } = authority;
      const alone = authorities.length === 1;
      try {
        const pem = await cfsslSign({
          url,
          order: { profile: options.profile, label: options.label, ...request },
          rootsPem: `${identity()?.rootsPem ?? ''}\n${certificatesPem([root])}\n${Buffer.from(caCertPem).toString('latin1')}`,
          identity: identity(),
          timeoutMs: Math.max(1, Math.floor(alone ? leftMs : Math.min(leftMs, config.attemptTimeoutMs))),
          answerMaxBytes: config.answerMaxBytes,
        });
        const accepted = accept(pem);
        this.#resting.delete(url);
        return accepted;
      } catch (thrown) {
        const failure = SwarmError.from(thrown);
        const { message } = failure;
        this.#failed(url, summaryOf(failure));
        problems.push(`${shownUrl(url)}: ${message}`);
        logger.warn('an external certificate authority did not sign', { url: shownUrl(url), error: message });
      }
    }
    throw new SigningFailure({
      code: 'unavailable',
      reason: 'no-certificate',
      message: `no external certificate authority signed: ${problems.join('; ') || 'none had time to answer'}`,
      summary: this.#summary(authorities),
      hint: 'see that the authority runs and knows its request, or name another one: `swarm update --external-ca`; it is asked again',
    });
  }

  /** In the order of the spec, those that rest last. */
  #inOrder(authorities: readonly ExternalCa[]): readonly ExternalCa[] {
    const nowMs = this.#options.clock.monotonic();
    const rests = ({ url }: ExternalCa): boolean => (this.#resting.get(url)?.untilMs ?? -Infinity) > nowMs;
    return [...authorities.filter((one) => !rests(one)), ...authorities.filter(rests)];
  }

  /** In the order of the spec, with the latest that is known of each: there may have been no time to ask all of them. */
  #summary(authorities: readonly ExternalCa[]): string {
    const problems = authorities.map(
      ({ url }) => `${shownUrl(url)}: ${this.#resting.get(url)?.summary ?? 'there was no time to ask it'}`,
    );
    return `no external certificate authority signed: ${problems.join('; ')} (the log of the leader has the details)`;
  }

  #failed(url: string, summary: string): void {
    const { clock, config } = this.#options;
    const failures = (this.#resting.get(url)?.failures ?? 0) + 1;
    const restMs = Math.min(config.restMaxMs, config.restBaseMs * 2 ** Math.min(failures - 1, 16));
    this.#resting.set(url, { failures, untilMs: clock.monotonic() + restMs, summary });
  }
}

function summaryOf(failure: SwarmError): string {
  if (failure instanceof SigningFailure) return failure.summary;
  return failure.reason === 'bad-certificate' ? 'its certificate will not do' : 'it did not sign';
}

/** Without what may be a password. */
function shownUrl(url: string): string {
  const { protocol, host, pathname } = new URL(url);
  return `${protocol}//${host}${pathname}`;
}
