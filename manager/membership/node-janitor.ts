/**
 * The leader's loop over nodes that do not come back. Started with leadership, stopped with its loss. What it knows is in
 * the store, but for how long it has missed somebody: the next leader waits anew.
 */
import { backoffDelay } from '#common/backoff.ts';
import type { CancelTimer, Clock } from '#common/clock.ts';
import { SwarmError } from '#common/errors.ts';
import type { Logger } from '#common/log.ts';
import type { Random } from '#common/random.ts';
import type { Node } from '#gen/swarm/v1/objects.ts';
import { NodeRole } from '#gen/swarm/v1/specs.ts';
import { overhang } from '#manager/orchestrator/index.ts';
import type { RoleMember, RoleStore } from '#manager/roles/index.ts';
import type { Change, StoreView } from '#manager/store/index.ts';
import { cleanupSettings } from './cleanup-settings.ts';
import type { CleanupConfig } from './config.ts';
import { type CleanupStep, decideCleanup } from './decide-cleanup.ts';
import { removalChanges } from './node-removal.ts';
import { Presence } from './presence.ts';

export interface JanitorOptions {
  readonly store: RoleStore;
  readonly log: {
    members(): readonly RoleMember[];
    onMembers(listener: () => void): () => void;
  };
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly config: CleanupConfig;
}

/** Steps that are taken before the event loop is given back for a while. */
const STEPS_AT_ONCE = 16;

export class NodeJanitor {
  readonly #options: JanitorOptions;
  /** One time of leadership; undefined otherwise. */
  #term: JanitorTerm | undefined;

  constructor(options: JanitorOptions) {
    this.#options = options;
  }

  start(): void {
    this.#term ??= new JanitorTerm(this.#options);
  }

  /** From now on nothing is begun. */
  stop(): void {
    this.#term?.stop();
    this.#term = undefined;
  }
}

class JanitorTerm {
  readonly #options: JanitorOptions;
  readonly #presence: Presence;
  readonly #unsubscribe: () => void;
  #timer: CancelTimer | undefined;
  #stopped = false;
  #failures = 0;

  constructor(options: JanitorOptions) {
    this.#options = options;
    this.#presence = new Presence(options.clock.monotonic());
    // Who comes and goes between two looks is not steady.
    this.#unsubscribe = options.log.onMembers(() => this.#note());
    this.#lookLater(options.config.lookEveryMs);
  }

  stop(): void {
    this.#stopped = true;
    this.#unsubscribe();
    this.#timer?.();
  }

  #note(): void {
    const { store, log, clock } = this.#options;
    this.#presence.look(store.view().all('node'), log.members(), clock.monotonic());
  }

  #lookLater(delayMs: number): void {
    this.#timer = this.#options.clock.setTimer(delayMs, () => void this.#look());
  }

  /** Never rejects. */
  async #look(): Promise<void> {
    const { config, random, logger } = this.#options;
    let delayMs = config.lookEveryMs;
    try {
      this.#note();
      for (let count = 0; count < STEPS_AT_ONCE && !this.#stopped; count++) if (!(await this.#step())) break;
      this.#failures = 0;
    } catch (thrown) {
      const retry = { baseMs: config.retryBaseMs, maxMs: config.retryMaxMs, factor: 2, jitter: 0.5 };
      delayMs = backoffDelay(retry, this.#failures++, random);
      if (!this.#stopped)
        logger.warn('a node that is gone could not be cleaned up yet', { error: SwarmError.from(thrown).message });
    }
    if (!this.#stopped) this.#lookLater(delayMs);
  }

  /** Takes the next step; false when there is none. */
  async #step(): Promise<boolean> {
    const { store, clock } = this.#options;
    if (this.#decide(store.view()) === undefined) return false;
    let taken: CleanupStep | undefined;
    await store.decide((view) => {
      // Decided anew: the node may have come back meanwhile.
      taken = this.#decide(view);
      return taken === undefined ? [] : cleanupChanges(view, taken, clock.now());
    });
    if (taken !== undefined) this.#tell(taken);
    return taken !== undefined;
  }

  #decide(view: StoreView): CleanupStep | undefined {
    const { log, clock, config } = this.#options;
    const settings = cleanupSettings(view.cluster(), config);
    const members = log.members();
    const seen = this.#presence.seen(clock.monotonic());
    const mayStillRun = (node: Node): boolean => overhang(node, view) !== undefined;
    return decideCleanup({ nodes: view.all('node'), members, settings, seen, mayStillRun, nowMs: clock.now() });
  }

  #tell({ kind, node }: CleanupStep): void {
    const { logger } = this.#options;
    const fields = { nodeId: node.id, hostname: node.description?.hostname ?? '' };
    switch (kind) {
      case 'prune':
        logger.warn('a worker that was down for too long is removed', fields);
        return;
      case 'demote':
        logger.warn('a manager that is dead is demoted, to be removed', fields);
        return;
      case 'remove':
        logger.warn('a manager that was dead is removed', fields);
        return;
      case 'spare':
        logger.info('a manager that was to be removed was heard of, and stays', fields);
        return;
    }
  }
}

/** The step as a write. */
export function cleanupChanges(view: StoreView, { kind, node }: CleanupStep, nowMs: number): readonly Change[] {
  const { spec } = node;
  if (kind === 'prune' || kind === 'remove') return removalChanges(view, node, nowMs);
  if (spec === undefined) return [];
  const isDemoted = kind === 'demote';
  const desiredRole = isDemoted ? NodeRole.WORKER : NodeRole.MANAGER;
  return [{ kind: 'update', table: 'node', object: { ...node, cleanedUp: isDemoted, spec: { ...spec, desiredRole } } }];
}
