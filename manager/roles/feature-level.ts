/**
 * Raises what may be written into the store to what every manager understands. Never lowers it: what a higher level
 * allowed may have been written.
 */
import { backoffDelay } from '#common/backoff.ts';
import type { CancelTimer, Clock } from '#common/clock.ts';
import { SwarmError } from '#common/errors.ts';
import type { Logger } from '#common/log.ts';
import type { Random } from '#common/random.ts';
import { NodeRole } from '#gen/swarm/v1/specs.ts';
import type { Change, StoreView } from '#manager/store/index.ts';
import type { RolesConfig } from './config.ts';
import type { RoleStore } from './role-reconciler.ts';

export interface LeveledNode {
  readonly nodeId: string;
  readonly featureLevel: number;
}

export interface FeatureLog {
  /** Voters and learners. */
  members(): readonly LeveledNode[];
  onMembers(listener: () => void): () => void;
}

/** The level that the cluster can have now; that which it has when nothing is to be done. */
export function featureLevelOf(current: number, members: readonly Pick<LeveledNode, 'featureLevel'>[]): number {
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
  /** What is to be written together with a new level, so that nobody meets the one without the other. */
  readonly changesOfLevel?: (view: StoreView, level: number) => readonly Change[];
}

/** Runs while this manager leads. */
export class FeatureLevelRaiser {
  readonly #options: FeatureLevelRaiserOptions;
  #unsubscribe: (() => void) | undefined;
  #retry: CancelTimer | undefined;
  /** Resolves when the attempt under way is over; never rejects. */
  #raising: Promise<void> | undefined;
  #failures = 0;
  /** Levels of nodes that are being made members. They count as soon as that is asked for: it may happen any time. */
  readonly #admitting = new Map<string, number>();

  constructor(options: FeatureLevelRaiserOptions) {
    this.#options = options;
  }

  start(): void {
    if (this.#unsubscribe !== undefined) return;
    this.#failures = 0;
    const { log, store } = this.#options;
    const stopMembers = log.onMembers(() => this.#look());
    const stopCommits = store.onCommit((commit) => {
      if (this.#admitting.size > 0 && commit.events.some(({ table }) => table === 'node')) this.#look();
    });
    this.#unsubscribe = () => {
      stopMembers();
      stopCommits();
    };
    this.#look();
  }

  stop(): void {
    this.#unsubscribe?.();
    this.#unsubscribe = undefined;
    this.#retry?.();
    this.#retry = undefined;
    this.#admitting.clear();
  }

  /**
   * Makes a member of the node, and sees to it that no level above the node's is allowed meanwhile. `add` is to make it
   * one; where it fails, it may still come to pass, so the level is held down until the node is a member or asks again.
   * Rejects with `feature-level` when the cluster is above the node, with what `add` rejects with, and with what the log
   * does while the level that is allowed cannot be known.
   */
  async admit<T>({ nodeId, featureLevel }: LeveledNode, add: () => Promise<T>): Promise<T> {
    const { store } = this.#options;
    this.#admitting.set(nodeId, featureLevel);
    await this.#raising;
    // Nothing to be changed: resolves once everything that was on its way has come to its end.
    await store.decide(() => []);
    const needed = store.view().cluster()?.featureLevel ?? 0;
    if (featureLevel < needed) {
      this.#admitting.delete(nodeId);
      throw tooOld(needed, featureLevel);
    }
    return add();
  }

  #level(current: number): number {
    const members = this.#options.log.members();
    for (const { nodeId, featureLevel } of members)
      if (featureLevel <= (this.#admitting.get(nodeId) ?? 0)) this.#admitting.delete(nodeId);
    // A node that is to be a worker is taken out of the log at once, should it still get into it.
    for (const nodeId of [...this.#admitting.keys()])
      if (this.#options.store.view().get('node', nodeId)?.spec?.desiredRole === NodeRole.WORKER)
        this.#admitting.delete(nodeId);
    const admitting = [...this.#admitting].map(([nodeId, featureLevel]) => ({ nodeId, featureLevel }));
    return members.length === 0 ? current : featureLevelOf(current, [...members, ...admitting]);
  }

  #look(): void {
    const { store, logger, config, clock, random } = this.#options;
    const cluster = store.view().cluster();
    if (cluster === undefined || this.#raising !== undefined || this.#unsubscribe === undefined) return;
    const level = this.#level(cluster.featureLevel);
    if (level === cluster.featureLevel) return;
    this.#raising = this.#raise().then(
      () => {
        this.#failures = 0;
        this.#raising = undefined;
        logger.info('every manager understands more: the feature level of the cluster was raised', { level });
        this.#look(); // members may have changed meanwhile
      },
      (thrown: unknown) => {
        this.#raising = undefined;
        if (this.#unsubscribe === undefined) return;
        const retry = { baseMs: config.retryBaseMs, maxMs: config.retryMaxMs, factor: 2, jitter: 0.5 };
        logger.warn('the feature level could not be raised yet', { error: SwarmError.from(thrown).message });
        this.#retry = clock.setTimer(backoffDelay(retry, this.#failures++, random), () => this.#look());
      },
    );
  }

  /** Decides anew on the newest state, and on the members as they are then. */
  #raise(): Promise<void> {
    return this.#options.store.decide((view) => {
      const cluster = view.cluster();
      if (cluster === undefined) return [];
      const featureLevel = this.#level(cluster.featureLevel);
      if (featureLevel === cluster.featureLevel) return [];
      const together = this.#options.changesOfLevel?.(view, featureLevel) ?? [];
      return [{ kind: 'update', table: 'cluster', object: { ...cluster, featureLevel } }, ...together];
    });
  }
}

function tooOld(needed: number, featureLevel: number): SwarmError {
  return new SwarmError({
    code: 'precondition',
    reason: 'feature-level',
    message: `the swarm is at feature level ${needed}, and the release of the joining manager understands ${featureLevel}`,
    hint: 'install the release of the other managers on it (`swarm node ls` shows theirs), or join as a worker',
  });
}
