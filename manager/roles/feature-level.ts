/**
 * Raises what may be written into the store to what every manager understands. Never lowers it: what a higher level
 * allowed may have been written.
 */
import { backoffDelay } from '#common/backoff.ts';
import type { CancelTimer, Clock } from '#common/clock.ts';
import { SwarmError } from '#common/errors.ts';
import type { Logger } from '#common/log.ts';
import type { Random } from '#common/random.ts';
import type { RolesConfig } from './config.ts';
import type { RoleStore } from './role-reconciler.ts';

export interface FeatureLog {
  /** Voters and learners. */
  members(): readonly { readonly featureLevel: number }[];
  onMembers(listener: () => void): () => void;
}

/** The level that the cluster can have now; that which it has when nothing is to be done. */
export function featureLevelOf(current: number, members: readonly { readonly featureLevel: number }[]): number {
  if (members.length === 0) return current;
  return Math.max(current, Math.min(...members.map((member) => member.featureLevel)));
}

export interface FeatureLevelRaiserOptions {
  readonly store: RoleStore;
  readonly log: FeatureLog;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly config: RolesConfig;
}

/** Runs while this manager leads. */
export class FeatureLevelRaiser {
  readonly #options: FeatureLevelRaiserOptions;
  #unsubscribe: (() => void) | undefined;
  #retry: CancelTimer | undefined;
  #raising = false;
  #failures = 0;

  constructor(options: FeatureLevelRaiserOptions) {
    this.#options = options;
  }

  start(): void {
    if (this.#unsubscribe !== undefined) return;
    this.#failures = 0;
    this.#unsubscribe = this.#options.log.onMembers(() => this.#look());
    this.#look();
  }

  stop(): void {
    this.#unsubscribe?.();
    this.#unsubscribe = undefined;
    this.#retry?.();
    this.#retry = undefined;
  }

  #look(): void {
    const { store, log, logger, config, clock, random } = this.#options;
    const cluster = store.view().cluster();
    if (cluster === undefined || this.#raising || this.#unsubscribe === undefined) return;
    const level = featureLevelOf(cluster.featureLevel, log.members());
    if (level === cluster.featureLevel) return;
    this.#raising = true;
    this.#raise().then(
      () => {
        this.#failures = 0;
        this.#raising = false;
        logger.info('every manager understands more: the feature level of the cluster was raised', { level });
        this.#look(); // members may have changed meanwhile
      },
      (thrown: unknown) => {
        this.#raising = false;
        if (this.#unsubscribe === undefined) return;
        const retry = { baseMs: config.retryBaseMs, maxMs: config.retryMaxMs, factor: 2, jitter: 0.5 };
        logger.warn('the feature level could not be raised yet', { error: SwarmError.from(thrown).message });
        this.#retry = clock.setTimer(backoffDelay(retry, this.#failures++, random), () => this.#look());
      },
    );
  }

  /** Decides anew on the newest state, and on the members as they are then. */
  #raise(): Promise<void> {
    const { store, log } = this.#options;
    return store.decide((view) => {
      const cluster = view.cluster();
      if (cluster === undefined) return [];
      const featureLevel = featureLevelOf(cluster.featureLevel, log.members());
      if (featureLevel === cluster.featureLevel) return [];
      return [{ kind: 'update', table: 'cluster', object: { ...cluster, featureLevel } }];
    });
  }
}
