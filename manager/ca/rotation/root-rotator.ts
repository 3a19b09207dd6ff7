/**
 * The leader's loop over a rotation of the root: asks nodes for other certificates, says what it waits for, and makes the
 * new root the root. Started with leadership, stopped with its loss; the next leader goes on from the store.
 */
import { backoffDelay } from '#common/backoff.ts';
import type { CancelTimer, Clock } from '#common/clock.ts';
import { SwarmError } from '#common/errors.ts';
import type { Logger } from '#common/log.ts';
import type { Random } from '#common/random.ts';
import type { Change, CommitEvents, StoreView } from '#manager/store/index.ts';
import type { RotationConfig } from './config.ts';
import { decideRotation, type RotationDecision } from './decide-rotation.ts';
import { type NodePhase, progressOf, targetOf } from './node-phase.ts';
import { askChanges, finishChanges } from './rotation-changes.ts';

export interface RotationStore {
  view(): StoreView;
  /** Commits what the callback makes of the newest state. */
  decide(change: (view: StoreView) => readonly Change[]): Promise<void>;
  onCommit(listener: (commit: CommitEvents) => void): () => void;
}

export interface RootRotatorOptions {
  readonly store: RotationStore;
  /** Makes a join token with a new secret. */
  readonly tokens: (rootDigest: string) => string;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly config: RotationConfig;
}

interface Seen {
  readonly phase: NodePhase;
  readonly sinceMs: number;
}

export class RootRotator {
  readonly #options: RootRotatorOptions;
  #unsubscribe: (() => void) | undefined;
  #timer: CancelTimer | undefined;
  /** When the timer fires, monotonic. */
  #lookAtMs = Infinity;
  #looking = false;
  #failures = 0;
  /** In which phase nodes are, by id. Of one time of leadership and one rotation. */
  readonly #seen = new Map<string, Seen>();

  constructor(options: RootRotatorOptions) {
    this.#options = options;
  }

  start(): void {
    if (this.#unsubscribe !== undefined) return;
    this.#failures = 0;
    this.#seen.clear();
    const { store, config } = this.#options;
    this.#unsubscribe = store.onCommit(({ events }) => {
      if (!this.#isUnderWay() || this.#failures > 0) return;
      if (events.some(({ table }) => table === 'node' || table === 'cluster')) this.#lookIn(config.gatherMs);
    });
    this.#lookIn(0);
  }

  /** From now on nothing is begun; a write that is under way finds itself without leadership. */
  stop(): void {
    this.#unsubscribe?.();
    this.#unsubscribe = undefined;
    this.#timer?.();
    this.#timer = undefined;
    this.#lookAtMs = Infinity;
  }

  #isUnderWay(): boolean {
    return this.#options.store.view().cluster()?.rootCa?.rotation !== undefined;
  }

  /** Looks then, or earlier when that is planned already. */
  #lookIn(delayMs: number): void {
    const { clock } = this.#options;
    const atMs = clock.monotonic() + delayMs;
    if (this.#unsubscribe === undefined || this.#looking || atMs >= this.#lookAtMs) return;
    this.#timer?.();
    this.#lookAtMs = atMs;
    this.#timer = clock.setTimer(delayMs, () => {
      this.#timer = undefined;
      this.#lookAtMs = Infinity;
      void this.#look();
    });
  }

  /** Never rejects. */
  async #look(): Promise<void> {
    const { config, random, logger } = this.#options;
    this.#looking = true;
    let delayMs = config.lookEveryMs;
    try {
      await this.#step();
      this.#failures = 0;
    } catch (thrown) {
      const retry = { baseMs: config.retryBaseMs, maxMs: config.retryMaxMs, factor: 2, jitter: 0.5 };
      delayMs = backoffDelay(retry, this.#failures++, random);
      if (this.#unsubscribe !== undefined)
        logger.warn('the rotation of the root does not get on', { error: SwarmError.from(thrown).message });
    }
    this.#looking = false;
    if (this.#isUnderWay()) this.#lookIn(delayMs);
    else this.#seen.clear();
  }

  /** @throws SwarmError of the write that failed */
  async #step(): Promise<void> {
    const { store, logger } = this.#options;
    const view = store.view();
    this.#note(view);
    const decision = this.#decide(view);
    if (decision.kind === 'none') return;
    if (decision.kind === 'go-on' && decision.ask.length === 0 && decision.problem === problemIn(view)) return;
    let finished = false;
    await store.decide((newest) => {
      finished = false;
      const { cluster, rootCa, rotation } = stateOf(newest);
      if (cluster === undefined || rootCa === undefined || rotation === undefined) return [];
      const decided = this.#decide(newest);
      if (decided.kind === 'finish') {
        finished = true;
        return finishChanges(cluster, rootCa, rotation, newest.all('node'), this.#options.tokens);
      }
      if (decided.kind === 'none') return [];
      const { problem } = decided;
      const changes: Change[] = [...askChanges(decided.ask.map((nodeId) => newest.get('node', nodeId)))];
      const told = { ...cluster, rootCa: { ...rootCa, rotation: { ...rotation, problem } } };
      if (rotation.problem !== problem) changes.push({ kind: 'update', table: 'cluster', object: told });
      return changes;
    });
    if (finished) logger.info('the root of the swarm was replaced; join tokens are new');
    else if (decision.kind === 'go-on' && decision.problem !== '')
      logger.warn('the rotation of the root waits', { problem: decision.problem });
  }

  #decide(view: StoreView): RotationDecision {
    const { clock, config } = this.#options;
    const nowMs = clock.monotonic();
    const waitedMs = (nodeId: string, phase: NodePhase): number => {
      const seen = this.#seen.get(nodeId);
      return seen?.phase === phase ? nowMs - seen.sinceMs : 0;
    };
    return decideRotation({ cluster: view.cluster(), nodes: view.all('node'), waitedMs }, config);
  }

  /** Remembers since when nodes are in their phases. */
  #note(view: StoreView): void {
    const { rotation } = stateOf(view);
    if (rotation === undefined) return;
    const nowMs = this.#options.clock.monotonic();
    const target = targetOf(rotation);
    const leftBehind = new Set(rotation.leftBehind);
    const gone = new Set(this.#seen.keys());
    for (const node of view.all('node')) {
      gone.delete(node.id);
      const { phase } = progressOf(node, target, leftBehind);
      if (this.#seen.get(node.id)?.phase !== phase) this.#seen.set(node.id, { phase, sinceMs: nowMs });
    }
    for (const nodeId of gone) this.#seen.delete(nodeId);
  }
}

function stateOf(view: StoreView): {
  readonly cluster: ReturnType<StoreView['cluster']>;
  readonly rootCa: NonNullable<ReturnType<StoreView['cluster']>>['rootCa'];
  readonly rotation: NonNullable<NonNullable<ReturnType<StoreView['cluster']>>['rootCa']>['rotation'];
} {
  const cluster = view.cluster();
  return { cluster, rootCa: cluster?.rootCa, rotation: cluster?.rootCa?.rotation };
}

function problemIn(view: StoreView): string {
  return stateOf(view).rotation?.problem ?? '';
}
