/**
 * How a host becomes a node. The root certificate is fetched unverified and compared with the digest in the token; from
 * then on only managers of that root are spoken to, and only they see the token. The key is kept before it is first
 * shown, and a node's id follows from its key: a join that was interrupted at any point is simply run again.
 */
import { type Certificate, certificatesPem, parseCertificates } from '#certs/certificate.ts';
import { createCertificateRequest } from '#certs/certificate-request.ts';
import { proveFormer } from '#certs/former-proof.ts';
import { certifiedIdentity } from '#certs/identity.ts';
import { type JoinToken, parseJoinToken } from '#certs/join-token.ts';
import { generateKeyPair, type KeyPair, keyPairOf, keysMatch } from '#certs/key.ts';
import { verifyChain } from '#certs/verify-chain.ts';
import { backoffDelay } from '#common/backoff.ts';
import type { Clock } from '#common/clock.ts';
import { SwarmError } from '#common/errors.ts';
import { formatHostPort, parseHostPort } from '#common/host-port.ts';
import type { Logger } from '#common/log.ts';
import type { Random } from '#common/random.ts';
import { FormerNode, type GetNodeCertificateStatusResponse, IssueNodeCertificateRequest } from '#gen/swarm/v1/ca.ts';
import { IssuanceState } from '#gen/swarm/v1/objects.ts';
import type { NodeAvailability } from '#gen/swarm/v1/specs.ts';
import type { CaConnection, DialCa } from './ca-connection.ts';
import { CLUSTER_PORT, type IdentityConfig, MANAGERS_MAX } from './config.ts';
import { type FetchedRoot, fetchRoot } from './fetch-root.ts';
import type { IdentityStore } from './identity-store.ts';
import type { KnownManager, NodeAddresses } from './node-state.ts';
import { acceptRoots } from './trusted-roots.ts';

export interface JoinOptions {
  readonly store: IdentityStore;
  readonly token: string;
  /** Managers to try, in this order; host or host:port. */
  readonly managers: readonly string[];
  readonly hostname: string;
  readonly availability: NodeAvailability;
  readonly addresses: NodeAddresses;
  /** A host that was a node before becomes another one, and its former entry goes. */
  readonly newIdentity: boolean;
  readonly dial: DialCa;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly config: IdentityConfig;
}

/**
 * Joins and keeps the identity in the store, from which it can be loaded then. Errors: `bad-token`, `wrong-cluster`
 * (the manager does not have the root that the token names), `connection-failed`, `timeout`, `already-in-swarm`,
 * `expired` (clocks), and what the manager refuses with. Resolves with what the operator should know.
 */
export async function joinCluster(options: JoinOptions): Promise<readonly string[]> {
  const token = parseJoinToken(options.token);
  const managers = managerAddresses(options.managers);
  if (await options.store.exists())
    throw new SwarmError({
      code: 'precondition',
      reason: 'already-in-swarm',
      message: 'this node is already part of a swarm',
      hint: 'use `swarm leave` to leave this swarm and join another one',
    });
  const warnings = await new Join(options, token, managers).run();
  await options.store.removePendingKey();
  await options.store.removeFormer();
  return warnings;
}

class Join {
  readonly #options: JoinOptions;
  readonly #token: JoinToken;
  readonly #managers: readonly string[];
  readonly #deadlineMs: number;

  constructor(options: JoinOptions, token: JoinToken, managers: readonly string[]) {
    this.#options = options;
    this.#token = token;
    this.#managers = managers;
    this.#deadlineMs = options.clock.monotonic() + options.config.joinTimeoutMs;
  }

  /** Tries every manager, several times, as long as only reaching them is the problem. */
  async run(): Promise<readonly string[]> {
    const { config, random, clock, logger } = this.#options;
    const backoff = { baseMs: config.retryBaseMs, maxMs: config.retryMaxMs, factor: 2, jitter: 0.5 };
    for (let attempt = 0; ; attempt++) {
      const failures: SwarmError[] = [];
      for (const address of this.#managers) {
        try {
          return await this.#through(address);
        } catch (thrown) {
          const error = SwarmError.from(thrown);
          if (!isPassing(error)) throw error;
          failures.push(error);
          logger.warn('cannot join through this manager yet', { address, error: error.message });
        }
      }
      const delayMs = backoffDelay(backoff, attempt, random);
      const outOfTime = clock.monotonic() + delayMs >= this.#deadlineMs;
      // Managers that still count on who this host was notice soon that it has gone.
      const isAwaited = failures.some(isFormerUp);
      if (outOfTime || (!isAwaited && attempt + 1 >= config.joinAttempts)) throw gaveUp(failures);
      await new Promise<void>((resolve) => {
        clock.setTimer(delayMs, resolve);
      });
    }
  }

  async #through(address: string): Promise<readonly string[]> {
    const { dial, store } = this.#options;
    const root = await fetchRoot(address, this.#token, this.#options, this.#timeoutMs());
    const rootPem = certificatesPem([root.certificate]);
    const connection = dial(address, { kind: 'pinned', rootsPem: rootPem, expect: { role: 'manager' } });
    try {
      const pending = await store.pendingKey();
      if (pending !== undefined) {
        try {
          return await this.#withKey(address, connection, root, keyPairOf(pending));
        } catch (error) {
          if (!needsNewKey(SwarmError.from(error))) throw error;
        }
      }
      const keys = generateKeyPair();
      await store.savePendingKey(keys.privateKey);
      return await this.#withKey(address, connection, root, keys);
    } finally {
      connection.close();
    }
  }

  async #withKey(
    address: string,
    connection: CaConnection,
    root: FetchedRoot,
    keys: KeyPair,
  ): Promise<readonly string[]> {
    const { hostname, availability, token, store, addresses } = this.#options;
    const csrPem = Buffer.from(createCertificateRequest(keys));
    const former = await this.#former(csrPem);
    const request = IssueNodeCertificateRequest.create({ csrPem, token, availability, hostname, former });
    const { nodeId, warnings } = await connection.issueNodeCertificate(request, this.#timeoutMs());
    const issued = await this.#issued(connection, nodeId);
    const chain = parseCertificates(issued.certificatePem, 'the certificate that the manager issued');
    this.#checkIssued(chain, nodeId, root, keys);
    await store.install({
      privateKey: keys.privateKey,
      certificatePem: certificatesPem(chain),
      rootPem: this.#rootsToTrust(issued.trustedRootsPem, chain, root),
      managers: knownManagers([address, ...issued.managerAddresses]),
      addresses,
    });
    return warnings;
  }

  /** Who this host was, and its word for this request; undefined where it was nobody. */
  async #former(csrPem: Uint8Array): Promise<FormerNode | undefined> {
    const { store, newIdentity } = this.#options;
    const former = await store.former();
    if (former === undefined) return undefined;
    const { certificatePem, privateKey } = former;
    return FormerNode.create({
      certificatePem,
      signature: proveFormer(csrPem, privateKey),
      replace: newIdentity,
    });
  }

  async #issued(
    connection: CaConnection,
    nodeId: string,
  ): Promise<Pick<GetNodeCertificateStatusResponse, 'certificatePem' | 'managerAddresses' | 'trustedRootsPem'>> {
    for (;;) {
      const status = await connection.getNodeCertificateStatus(nodeId, this.#timeoutMs());
      if (status.state === IssuanceState.ISSUED) return status;
      if (status.state !== IssuanceState.PENDING)
        throw new SwarmError({
          code: 'denied',
          reason: 'no-certificate',
          message: `the manager issued no certificate: ${status.error || 'it gave no reason'}`,
        });
    }
  }

  /** The manager is trusted; a mistake of its, or of a clock, is still better found here than at every connection. */
  #checkIssued(chain: readonly Certificate[], nodeId: string, root: FetchedRoot, keys: KeyPair): void {
    const [leaf] = chain;
    const problem = verifyChain(chain, [root.certificate], this.#options.clock.now());
    if (problem !== undefined || leaf === undefined) throw withClockHint(problem, root, this.#options.config);
    if (!keysMatch(keys.privateKey, leaf.publicKeyDer) || certifiedIdentity(leaf).nodeId !== nodeId)
      throw new SwarmError({
        code: 'conflict',
        reason: 'bad-certificate',
        message: 'the manager answered with the certificate of another key or node',
      });
  }

  /** While the root is being replaced a manager, verified by the token's root, names both; otherwise that one alone. */
  #rootsToTrust(offered: Uint8Array, chain: readonly Certificate[], root: FetchedRoot): string {
    const pinned = certificatesPem([root.certificate]);
    if (offered.length === 0) return pinned;
    try {
      return acceptRoots(offered, chain, this.#options.clock.now()).pem;
    } catch (thrown) {
      const error = SwarmError.from(thrown).message;
      this.#options.logger.error('the roots that came with a certificate are not trusted', { error });
      return pinned;
    }
  }

  /** For the next request: never past the end of the join. */
  #timeoutMs(): number {
    const leftMs = this.#deadlineMs - this.#options.clock.monotonic();
    return Math.max(1, Math.min(leftMs, this.#options.config.requestTimeoutMs));
  }
}

function managerAddresses(given: readonly string[]): readonly string[] {
  if (given.length === 0 || given.length > MANAGERS_MAX)
    throw new SwarmError({
      code: 'invalid',
      reason: 'bad-field',
      field: 'remote_addresses',
      message: `a join needs the address of a manager, and takes at most ${MANAGERS_MAX}`,
      hint: 'give the address that `swarm join-token` prints: HOST:PORT',
    });
  const addresses = given.map((text) => {
    const parsed = parseHostPort(text, CLUSTER_PORT);
    if (parsed !== undefined) return formatHostPort(parsed);
    throw new SwarmError({
      code: 'invalid',
      reason: 'bad-field',
      field: 'remote_addresses',
      message: `${JSON.stringify(text.slice(0, 260))} is not the address of a manager`,
      hint: 'give HOST or HOST:PORT, with brackets around an IPv6 address',
    });
  });
  return [...new Set(addresses)];
}

/** May be over by itself: another manager, or the same one in a moment, may say yes. */
function isPassing(error: SwarmError): boolean {
  return (
    error.code === 'unavailable' ||
    error.code === 'deadline' ||
    (error.code === 'exhausted' && error.reason === 'too-many' && error.limit === undefined)
  );
}

/** The key of an interrupted join may belong by now to a node that was removed, has another role, or another key. */
function needsNewKey(error: SwarmError): boolean {
  const otherKey = error.code === 'conflict' && error.reason === 'bad-certificate';
  return otherKey || error.reason === 'node-removed' || error.reason === 'wrong-role';
}

/** The node that this host was is up, as far as managers know. */
function isFormerUp({ reason }: SwarmError): boolean {
  return reason === 'in-use';
}

/** The managers' ids are learnt with the first session. */
function knownManagers(addresses: readonly string[]): readonly KnownManager[] {
  return [...new Set(addresses)].filter((address) => address !== '').map((address) => ({ nodeId: '', address }));
}

function gaveUp(failures: readonly SwarmError[]): SwarmError {
  const [first] = failures;
  // A manager was reached, and what it says is what there is to be done.
  const answer = failures.find(isFormerUp);
  if (answer !== undefined) return answer;
  const timedOut = failures.every((failure) => failure.code === 'deadline');
  return new SwarmError({
    code: timedOut ? 'deadline' : 'unavailable',
    reason: timedOut ? 'timeout' : (first?.reason ?? 'connection-failed'),
    message: `could not join: ${failures.map((failure) => failure.message).join('; ')}`,
    hint: `check the address and that port ${CLUSTER_PORT}/tcp of the manager can be reached from here; the join can be run again`,
    cause: first,
  });
}

function withClockHint(problem: SwarmError | undefined, root: FetchedRoot, config: IdentityConfig): SwarmError {
  const message = problem?.message ?? 'the manager sent no certificate';
  const { clockSkewMs } = root;
  if (problem?.reason !== 'expired' || Math.abs(clockSkewMs) < config.clockSkewNotedMs)
    return problem ?? new SwarmError({ code: 'unavailable', reason: 'bad-certificate', message });
  const direction = clockSkewMs > 0 ? 'ahead of' : 'behind';
  return new SwarmError({
    code: 'precondition',
    reason: 'expired',
    message: `${message}; the clock of this host is ${Math.round(Math.abs(clockSkewMs) / 1000)} s ${direction} the manager's`,
    hint: 'set the clock (chronyd or systemd-timesyncd keep it right) and join again',
    cause: problem,
  });
}
