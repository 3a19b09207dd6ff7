import type { Clock } from '#common/clock.ts';
import { SwarmError } from '#common/errors.ts';
import { IssuanceState, type NodeCertificate } from '#gen/swarm/v1/objects.ts';
import type { CaStore } from './ca-store.ts';

/** Callers that wait until the issuance of a node's certificate has an outcome. */
export class IssuanceWaiters {
  readonly #store: CaStore;
  readonly #clock: Clock;
  readonly #limit: number;
  #waiting = 0;

  constructor(store: CaStore, clock: Clock, limit: number) {
    this.#store = store;
    this.#clock = clock;
    this.#limit = limit;
  }

  /** The certificate once it is issued or refused, or as it is after `waitMs`. Throws `unknown-object`, `too-many`. */
  async outcome(nodeId: string, waitMs: number): Promise<NodeCertificate> {
    const first = this.#certificate(nodeId);
    if (first.state !== IssuanceState.PENDING || waitMs <= 0) return first;
    if (this.#waiting >= this.#limit)
      throw new SwarmError({
        code: 'exhausted',
        reason: 'too-many',
        message: 'too many nodes wait for their certificates',
        hint: 'try again in a few seconds',
      });
    this.#waiting += 1;
    try {
      await this.#changed(nodeId, waitMs);
    } finally {
      this.#waiting -= 1;
    }
    return this.#certificate(nodeId);
  }

  #changed(nodeId: string, waitMs: number): Promise<void> {
    return new Promise((resolve) => {
      const done = (): void => {
        cancel();
        unsubscribe();
        resolve();
      };
      const cancel = this.#clock.setTimer(waitMs, done);
      const unsubscribe = this.#store.onCommit(({ events }) => {
        const decided = events.some(
          (event) =>
            event.table === 'node' &&
            event.object.id === nodeId &&
            (event.kind === 'remove' || event.object.certificate?.state !== IssuanceState.PENDING),
        );
        if (decided) done();
      });
    });
  }

  #certificate(nodeId: string): NodeCertificate {
    const certificate = this.#store.view().get('node', nodeId)?.certificate;
    if (certificate !== undefined) return certificate;
    throw new SwarmError({
      code: 'not-found',
      reason: 'unknown-object',
      message: `there is no node ${nodeId.slice(0, 25)} that waits for a certificate`,
      hint: 'run the join command again',
    });
  }
}
