/**
 * What this node was told of networks, brought into the kernel and into the answers to names, and acknowledged. Tables
 * are kept across restarts, so that all goes on without any manager.
 */

import type { AgentDatabase, DatabaseWrite } from '#agent/database/index.ts';
import { type BackoffOptions, backoffDelay } from '#common/backoff.ts';
import type { CancelTimer, Clock } from '#common/clock.ts';
import { SwarmError } from '#common/errors.ts';
import type { Logger } from '#common/log.ts';
import type { Random } from '#common/random.ts';
import {
  AppliedNetworks,
  type NetworkChange,
  NetworkChanges,
  NetworkChangesType,
  type NetworkProblem,
} from '#gen/swarm/v1/networks.ts';
import { entryKey, type NetworkStep, NetworkTables, type NetworkViews } from './network-tables.ts';

/** Makes one part of the node like the tables. */
export interface NetworkApplier {
  /** For messages: "overlay networks". */
  readonly name: string;
  /**
   * Applies changes that `views` include. Called again with the same and later changes after a failure, so it may meet
   * what it has done already. Resolves when packets and answers follow the tables; returns networks that it could not
   * bring there, which it goes on trying by itself.
   */
  apply(
    views: NetworkViews,
    changes: readonly NetworkChange[],
    signal: AbortSignal,
  ): Promise<readonly NetworkProblem[]>;
}

export interface DiscoveryOptions {
  readonly appliers: readonly NetworkApplier[];
  readonly database: AgentDatabase;
  /** Tells the manager. Called with what is newest only. */
  readonly acknowledge: (applied: AppliedNetworks) => void;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly retry: BackoffOptions;
}

export const DISCOVERY_RETRY: BackoffOptions = { baseMs: 100, maxMs: 5_000, factor: 2, jitter: 0.5 };

export class Discovery {
  readonly #options: DiscoveryOptions;
  readonly #tables = new NetworkTables();
  readonly #stopping = new AbortController();
  /** Steps that came while another one was applied. Invariant: applied in one go, in order. */
  #waiting: NetworkStep[] = [];
  #working: Promise<void> | undefined;
  #retry: CancelTimer | undefined;
  #attempt = 0;
  readonly #watchers = new Set<() => void>();
  #acknowledged: AppliedNetworks | undefined;

  constructor(options: DiscoveryOptions) {
    this.#options = options;
  }

  get views(): NetworkViews {
    return this.#tables.views;
  }

  /** What was acknowledged last; undefined before the first. */
  get acknowledged(): AppliedNetworks | undefined {
    return this.#acknowledged;
  }

  /** Once, before the first session: what an earlier process was told is applied. Resolves when that is done or failed. */
  async restore(kept: readonly NetworkChange[]): Promise<void> {
    const isTable = (change: NetworkChange): boolean => change.item?.kind === 'table';
    const changes = [...kept.filter(isTable), ...kept.filter((change) => !isTable(change))];
    const step = this.#tables.receive(NetworkChanges.create({ type: NetworkChangesType.COMPLETE, changes }));
    if (step !== undefined && step.changes.length > 0) this.#enqueue(step);
    await this.#working;
  }

  sessionBegan(): void {
    this.#tables.sessionBegan();
  }

  /** A message of the manager. */
  receive(message: NetworkChanges): void {
    if (this.#stopping.signal.aborted) return;
    const step = this.#tables.receive(message);
    if (step === undefined) return;
    const writes = step.changes.map(writeOf);
    if (writes.length > 0)
      this.#options.database.write(writes).catch((thrown: unknown) => {
        this.#options.logger.warn('what is known of networks was not kept', { error: SwarmError.from(thrown).message });
      });
    this.#enqueue(step);
  }

  /** Resolves when this node has the network's table and has applied it. Rejects when the signal aborts. */
  async applied(networkId: string, signal: AbortSignal): Promise<void> {
    while (!this.#isApplied(networkId)) {
      signal.throwIfAborted();
      await this.#nextStep(signal);
    }
  }

  /** Resolves when something was applied, or the signal aborts. */
  #nextStep(signal: AbortSignal): Promise<void> {
    return new Promise<void>((resolve) => {
      const done = (): void => {
        this.#watchers.delete(done);
        signal.removeEventListener('abort', done);
        resolve();
      };
      this.#watchers.add(done);
      signal.addEventListener('abort', done);
    });
  }

  /** Resolves when everything that this node was told has been applied. Rejects when the signal aborts. */
  async settled(signal: AbortSignal): Promise<void> {
    while (this.#waiting.length > 0) {
      signal.throwIfAborted();
      await this.#nextStep(signal);
    }
  }

  async close(): Promise<void> {
    this.#stopping.abort();
    this.#retry?.();
    await this.#working;
  }

  #isApplied(networkId: string): boolean {
    return (
      this.#tables.views.has(networkId) &&
      !this.#waiting.some(({ changes }) => changes.some((change) => change.networkId === networkId))
    );
  }

  #enqueue(step: NetworkStep): void {
    this.#waiting.push(step);
    if (this.#retry === undefined) this.#working ??= this.#work();
  }

  async #work(): Promise<void> {
    while (this.#waiting.length > 0 && !this.#stopping.signal.aborted) {
      const steps = [...this.#waiting];
      try {
        const problems = await this.#applySteps(steps);
        this.#waiting = this.#waiting.slice(steps.length);
        this.#attempt = 0;
        this.#settled(steps.at(-1)?.version ?? 0, problems);
      } catch (thrown) {
        if (!this.#stopping.signal.aborted) this.#tryLater(SwarmError.from(thrown));
        break;
      }
    }
    this.#working = undefined;
  }

  async #applySteps(steps: readonly NetworkStep[]): Promise<readonly NetworkProblem[]> {
    const changes = steps.flatMap((step) => step.changes);
    if (changes.length === 0) return this.#acknowledged?.problems ?? [];
    const { appliers } = this.#options;
    const outcomes = await Promise.all(
      appliers.map((applier) => applier.apply(this.#tables.views, changes, this.#stopping.signal)),
    );
    return outcomes.flat();
  }

  #settled(version: number, problems: readonly NetworkProblem[]): void {
    // What was restored stands for no commit that this process knows of.
    if (version > 0) {
      this.#acknowledged = AppliedNetworks.create({ version, problems });
      this.#options.acknowledge(this.#acknowledged);
    }
    for (const watcher of [...this.#watchers]) watcher();
  }

  #tryLater(error: SwarmError): void {
    const { clock, random, retry, logger } = this.#options;
    const delayMs = backoffDelay(retry, this.#attempt++, random);
    logger.warn('changes of networks could not be applied; trying again', { error: error.message, delayMs });
    this.#retry = clock.setTimer(delayMs, () => {
      this.#retry = undefined;
      this.#working ??= this.#work();
    });
  }
}

function writeOf(change: NetworkChange): DatabaseWrite {
  const { networkId, remove, item } = change;
  const key = item === undefined ? '' : entryKey(item);
  if (!remove) return { kind: 'put-network-entry', networkId, key, change };
  return key === 'table' ? { kind: 'delete-network', networkId } : { kind: 'delete-network-entry', networkId, key };
}
