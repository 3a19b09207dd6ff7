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
import { IssueNodeCertificateRequest } from '#gen/swarm/v1/ca.ts';
import { IssuanceState } from '#gen/swarm/v1/objects.ts';
import type { CaConnection, DialCa } from './ca-connection.ts';
import type { IdentityConfig } from './config.ts';
import type { IdentityStore, LoadedIdentity } from './identity-store.ts';

export interface RenewOptions {
  readonly store: IdentityStore;
  /** The identity that is shown. */
  readonly current: LoadedIdentity;
  /** Managers to try, host:port, in this order. */
  readonly managers: readonly string[];
  readonly dial: DialCa;
  readonly clock: Clock;
  readonly config: IdentityConfig;
}

/**
 * Asks every manager once, keeps key and certificate of the first that issues one, and returns the identity as it is
 * then. Rejects with the last manager's error when none did; nothing has changed in that case.
 */
export async function renewCertificate(options: RenewOptions): Promise<LoadedIdentity> {
  const { store, current, managers, dial, clock } = options;
  let failure = new SwarmError({
    code: 'unavailable',
    reason: 'connection-failed',
    message: 'this node knows no manager that could renew its certificate',
  });
  for (const address of managers) {
    const connection = dial(address, {
      kind: 'member',
      identity: () => current.tls,
      expect: { role: 'manager', clusterId: current.identity.clusterId },
    });
    try {
      const keys = generateKeyPair();
      const chain = await issue(options, connection, keys);
      checkIssued(options, chain, keys);
      await store.replaceCertificate({ privateKey: keys.privateKey, certificatePem: certificatesPem(chain) });
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

async function issue(options: RenewOptions, connection: CaConnection, keys: KeyPair): Promise<readonly Certificate[]> {
  const { requestTimeoutMs } = options.config;
  const { nodeId } = options.current.identity;
  const request = IssueNodeCertificateRequest.create({ csrPem: Buffer.from(createCertificateRequest(keys)) });
  await connection.issueNodeCertificate(request, requestTimeoutMs);
  const status = await connection.getNodeCertificateStatus(nodeId, requestTimeoutMs);
  if (status.state !== IssuanceState.ISSUED)
    throw new SwarmError({
      code: 'unavailable',
      reason: 'no-certificate',
      message: `the manager issued no certificate: ${status.error || 'it gave no reason'}`,
      hint: 'it is asked again',
    });
  return parseCertificates(status.certificatePem, 'the certificate that the manager issued');
}

/** A manager that answers from a state before the request would send the certificate of the old key. */
function checkIssued(options: RenewOptions, chain: readonly Certificate[], keys: KeyPair): void {
  const { current, clock } = options;
  const [leaf] = chain;
  const roots = parseCertificates(current.tls.rootsPem, "the node's root certificates");
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
