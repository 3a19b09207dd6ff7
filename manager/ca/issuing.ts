/** A certificate for a node by whoever signs now, and what becomes known where nobody does. */
import type { Clock } from '#common/clock.ts';
import { SwarmError } from '#common/errors.ts';
import type { Logger } from '#common/log.ts';
import type { Cluster, Node } from '#gen/swarm/v1/objects.ts';
import type { CaStore } from './ca-store.ts';
import { nodeLifetimeMs } from './cluster-bootstrap.ts';
import { SigningFailure } from './external/signing-failure.ts';
import type { NodeSigner, SigningOrder } from './node-signer.ts';
import { roleName } from './roles.ts';
import { issuingRoot } from './trusted-roots.ts';

export interface NodeOrder extends Pick<SigningOrder, 'csrPem' | 'publicKeyDer' | 'replacesNotBeforeMs'> {
  readonly nodeId: string;
  readonly role: Node['role'];
}

export interface IssuingOptions {
  readonly store: CaStore;
  /** @throws SwarmError while there is none */
  readonly cluster: () => Cluster;
  readonly signer: NodeSigner;
  readonly clock: Clock;
  readonly logger: Logger;
  /** How often it is signed again because another root signs by now. */
  readonly retries: number;
}

export class Issuing {
  readonly #options: IssuingOptions;

  constructor(options: IssuingOptions) {
    this.#options = options;
  }

  /** By the root that signs when it is done: a rotation may begin while an authority outside is asked. PEM. */
  async sign({ nodeId, role, ...order }: NodeOrder): Promise<string> {
    const { cluster: present, signer, clock, retries } = this.#options;
    for (let attempt = 0; ; attempt++) {
      const cluster = present();
      const certificatePem = await signer.sign(cluster, {
        ...order,
        identity: { nodeId, role: roleName(role), clusterId: cluster.id },
        nowMs: clock.now(),
        lifetimeMs: nodeLifetimeMs(cluster.spec),
      });
      if (rootDigest(present()) === rootDigest(cluster)) return certificatePem;
      if (attempt >= retries)
        throw new SwarmError({
          code: 'unavailable',
          reason: 'no-certificate',
          message: 'the root of the swarm changes too often',
          hint: 'it is asked again',
        });
    }
  }

  /** The same for a node that is there, whose object says so where nobody signs: users see it. */
  async signAgain(node: Node, order: Omit<NodeOrder, 'nodeId' | 'role'>): Promise<string> {
    try {
      return await this.sign({ ...order, nodeId: node.id, role: node.role });
    } catch (thrown) {
      const refusal = SwarmError.from(thrown);
      if (refusal.reason === 'no-certificate') await this.#note(node, summaryOf(refusal));
      throw refusal;
    }
  }

  async #note(node: Node, error: string): Promise<void> {
    const { store, logger } = this.#options;
    if (node.certificate === undefined || node.certificate.error === error) return;
    const object = { ...node, certificate: { ...node.certificate, error } };
    await store.commit([{ kind: 'update', table: 'node', object }]).catch((thrown: unknown) => {
      logger.debug('why a certificate was not renewed could not be noted', { error: SwarmError.from(thrown).message });
    });
  }
}

function summaryOf(refusal: SwarmError): string {
  return refusal instanceof SigningFailure ? refusal.summary : refusal.message;
}

function rootDigest({ rootCa }: Cluster): string | undefined {
  return rootCa === undefined ? undefined : issuingRoot(rootCa).digest;
}
