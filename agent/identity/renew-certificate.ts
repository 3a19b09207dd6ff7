/**
 * How a member gets another certificate: it shows the one it has. The role in the new one is that of its node object, so
 * this is also how a promotion or a demotion reaches the node.
 */
import { type Certificate, certificatesPem, parseCertificates } from '#certs/certificate.ts';
import { createCertificateRequest } from '#certs/certificate-request.ts';
import { certifiedIdentity } from '#certs/identity.ts';
import { generateKeyPair, type KeyPair, keysMatch } from '#certs/key.ts';
import { verifyChain } from '#certs/verify-chain.ts';
import type { Clock } from '#common/clock.ts';
import { SwarmError } from '#common/errors.ts';
import type { Logger } from '#common/log.ts';
import { IssueNodeCertificateRequest } from '#gen/swarm/v1/ca.ts';
import { IssuanceState } from '#gen/swarm/v1/objects.ts';
import type { CaConnection, DialCa } from './ca-connection.ts';
import type { IdentityConfig } from './config.ts';
import type { IdentityStore, LoadedIdentity } from './identity-store.ts';
import { acceptRoots } from './trusted-roots.ts';

export interface RenewOptions {
  readonly store: IdentityStore;
  /** The identity that is shown. */
  readonly current: LoadedIdentity;
  /** Managers to try, host:port, in this order. */
  readonly managers: readonly string[];
  readonly dial: DialCa;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly config: IdentityConfig;
  /** Ends it, with nothing changed unless the certificate was being kept already. */
  readonly signal?: AbortSignal | undefined;
}

/** What a manager issued, checked. */
interface Issued {
  readonly chain: readonly Certificate[];
  /** Undefined: those that are trusted stay. */
  readonly rootsPem: string | undefined;
}

/**
 * Asks every manager once, keeps key and certificate of the first that issues one, and returns the identity as it is
 * then. Rejects with the last manager's error when none did; nothing has changed in that case.
 */
export async function renewCertificate(options: RenewOptions): Promise<LoadedIdentity> {
  const { store, current, managers, dial, clock, config, signal } = options;
  const deadlineMs = clock.monotonic() + config.renewTimeoutMs;
  let failure = new SwarmError({
    code: 'unavailable',
    reason: 'connection-failed',
    message: 'this node knows no manager that could renew its certificate',
  });
  for (const address of managers) {
    const leftMs = deadlineMs - clock.monotonic();
    if (leftMs <= 0 || signal?.aborted === true) break;
    const trust = {
      kind: 'member',
      identity: () => current.tls,
      expect: { role: 'manager', clusterId: current.identity.clusterId },
    } as const;
    const connection = dial(address, trust, signal);
    try {
      const keys = generateKeyPair();
      const { chain, rootsPem } = await issue(options, connection, keys, Math.min(leftMs, config.requestTimeoutMs));
      signal?.throwIfAborted();
      const certificatePem = certificatesPem(chain);
      await store.replaceCertificate({ privateKey: keys.privateKey, certificatePem, rootsPem });
      const renewed = await store.load(clock.now());
      if (renewed !== undefined) return renewed;
    } catch (thrown) {
      failure = SwarmError.from(thrown);
    } finally {
      connection.close();
    }
  }
  throw failure;
}

async function issue(
  options: RenewOptions,
  connection: CaConnection,
  keys: KeyPair,
  timeoutMs: number,
): Promise<Issued> {
  const { nodeId } = options.current.identity;
  const request = IssueNodeCertificateRequest.create({ csrPem: Buffer.from(createCertificateRequest(keys)) });
  await connection.issueNodeCertificate(request, timeoutMs);
  const status = await connection.getNodeCertificateStatus(nodeId, timeoutMs);
  if (status.state !== IssuanceState.ISSUED)
    throw new SwarmError({
      code: 'unavailable',
      reason: 'no-certificate',
      message: `the manager issued no certificate: ${status.error || 'it gave no reason'}`,
      hint: 'it is asked again',
    });
  const chain = parseCertificates(status.certificatePem, 'the certificate that the manager issued');
  const rootsPem = rootsOf(options, status.trustedRootsPem, chain);
  checkIssued(options, chain, keys, rootsPem);
  return { chain, rootsPem };
}

/** The roots that come with the certificate; undefined when there are none, or none that would do. */
function rootsOf(
  { clock, logger }: RenewOptions,
  offered: Uint8Array,
  chain: readonly Certificate[],
): string | undefined {
  if (offered.length === 0) return undefined;
  try {
    return acceptRoots(offered, chain, clock.now()).pem;
  } catch (thrown) {
    logger.error('the roots that came with a certificate are not trusted', { error: SwarmError.from(thrown).message });
    return undefined;
  }
}

/** A manager that answers from a state before the request would send the certificate of the old key. */
function checkIssued(
  { current, clock }: RenewOptions,
  chain: readonly Certificate[],
  keys: KeyPair,
  rootsPem: string | undefined,
): void {
  const [leaf] = chain;
  const roots = parseCertificates(rootsPem ?? current.tls.rootsPem, "the node's root certificates");
  const problem = verifyChain(chain, roots, clock.now());
  if (problem !== undefined) throw problem;
  const issued = leaf === undefined ? undefined : certifiedIdentity(leaf);
  const ours = issued?.nodeId === current.identity.nodeId && issued.clusterId === current.identity.clusterId;
  if (leaf === undefined || !ours || !keysMatch(keys.privateKey, leaf.publicKeyDer))
    throw new SwarmError({
      code: 'conflict',
      reason: 'bad-certificate',
      message: 'the manager answered with the certificate of another key or node',
      hint: 'it is asked again',
    });
}
