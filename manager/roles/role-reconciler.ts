/**
 * The leader's loop over roles. Started with leadership, stopped with its loss; between two looks it holds nothing, so
 * the next leader goes on from the store and the log.
 */
import { setImmediate as nextTurn } from 'node:timers/promises';
import { backoffDelay } from '#common/backoff.ts';
import type { CancelTimer, Clock } from '#common/clock.ts';
import { SwarmError } from '#common/errors.ts';
import type { Logger } from '#common/log.ts';
import type { Random } from '#common/random.ts';
import { type Node, NodeStatus } from '#gen/swarm/v1/objects.ts';
import { NodeRole } from '#gen/swarm/v1/specs.ts';
import type { Change, CommitEvents, StoreView } from '#manager/store/index.ts';
import { type RolesConfig } from './config.ts';
import { decideRoles, type RoleDecision, type RoleStep } from './decide-roles.ts';
import type { RoleMember } from './role-facts.ts';

/** The log, as far as roles go. */
export interface RoleLog {
  members(): readonly RoleMember[];
  onMembers(listener: () => void): () => void;
  removeMember(raftId: number, wait: { readonly timeoutMs: number }): Promise<void>;
  transferLeadership(wait: { readonly timeoutMs: number }): Promise<void>;
}

export interface RoleStore {
  view(): StoreView;
  /** Commits what the callback makes of the newest state. */
  decide(change: (view: StoreView) => readonly Change[]): Promise<void>;
  onCommit(listener: (commit: CommitEvents) => void): () => void;
}

export interface RoleReconcilerOptions {
  readonly store: RoleStore;
  readonly log: RoleLog;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly config: RolesConfig;
}

/** How the status message of a node begins that this loop has written. */
const WAITING = 'cannot be demoted yet: ';

export class RoleReconciler {
  readonly #options: RoleReconcilerOptions;
  /** One time of leadership; undefined otherwise. */
  #term: RoleTerm | undefined;

  constructor(options: RoleReconcilerOptions) {
    this.#options = options;
  }

  start(): void {
    this.#term ??= new RoleTerm(this.#options);
  }

  /** From now on nothing is begun. A step that is under way ends by its deadline, and finds itself without leadership. */
  stop(): void {
    this.#term?.stop();
    this.#term = undefined;
  }
}

class RoleTerm {
  readonly #options: RoleReconcilerOptions;
  readonly #unsubscribe: readonly (() => void)[];
  #stopped = false;
  /** Something happened since the last look began. */
  #changed = true;
  #wake: (() => void) | undefined;
  #failures = 0;
  /** Reasons that were told, by node id. */
  #told: ReadonlyMap<string, string> = new Map();

  constructor(options: RoleReconcilerOptions) {
    this.#options = options;
    this.#unsubscribe = [
      options.store.onCommit((commit) => {
        if (commit.events.some((event) => event.table === 'node' && concernsRoles(event))) this.#noticed();
      }),
      options.log.onMembers(() => this.#noticed()),
    ];
    void this.#run();
  }

  stop(): void {
    this.#stopped = true;
    for (const stop of this.#unsubscribe) stop();
    this.#wake?.();
  }

  #noticed(): void {
    this.#changed = true;
    if (this.#failures === 0) this.#wake?.();
  }

  async #run(): Promise<void> {
    const { config, random, logger } = this.#options;
    while (!this.#stopped) {
      this.#changed = false;
      let delayMs = config.lookEveryMs;
      try {
        await this.#look();
        this.#failures = 0;
      } catch (thrown) {
        const retry = { baseMs: config.retryBaseMs, maxMs: config.retryMaxMs, factor: 2, jitter: 0.5 };
        delayMs = backoffDelay(retry, this.#failures++, random);
        if (!this.#stopped) logger.warn('a role could not be changed yet', { error: SwarmError.from(thrown).message });
      }
      if (this.#failures > 0 || !this.#changed) await this.#pause(delayMs);
      else await nextTurn();
    }
  }

  /** Takes steps until there is none to take. @throws SwarmError of the step that failed */
  async #look(): Promise<void> {
    const { store, log, config } = this.#options;
    for (let count = 0; count < config.stepsAtOnce && !this.#stopped; count++) {
      const decision = decideRoles({ nodes: [...store.view().all('node')], members: log.members() });
      const [step] = decision.steps;
      if (step === undefined) {
        await this.#explain(decision);
        return;
      }
      await this.#take(step);
    }
  }

  async #take(step: RoleStep): Promise<void> {
    const { log, logger, config } = this.#options;
    const wait = { timeoutMs: config.stepTimeoutMs };
    switch (step.kind) {
      case 'set-role':
        await this.#setRole(step.nodeId, step.role);
        logger.info('a node has another role', { nodeId: step.nodeId, manager: step.role === NodeRole.MANAGER });
        return;
      case 'remove-member':
        logger.info('a manager leaves the log', { nodeId: step.nodeId, why: step.why });
        await log.removeMember(step.raftId, wait);
        return;
      case 'hand-over':
        logger.info('handing over the lead: this manager is demoted', { nodeId: step.nodeId });
        await log.transferLeadership(wait);
        return;
    }
  }

  /** Writes the role if it is still the one that is wanted, and the member is still as it was decided upon. */
  #setRole(nodeId: string, role: NodeRole): Promise<void> {
    const { store, log } = this.#options;
    return store.decide((view) => {
      const node = view.get('node', nodeId);
      const isMember = log.members().some((member) => member.nodeId === nodeId);
      if (node === undefined || node.spec?.desiredRole !== role || node.role === role || isMember) return [];
      return [{ kind: 'update', table: 'node', object: withoutWaiting({ ...node, role }) }];
    });
  }

  /** Shows in the node's status, and once in this log, why a demotion waits. */
  async #explain({ waiting }: RoleDecision): Promise<void> {
    const { store, logger } = this.#options;
    for (const [nodeId, reason] of waiting)
      if (this.#told.get(nodeId) !== reason) logger.warn('a manager cannot be demoted yet', { nodeId, reason });
    this.#told = waiting;
    const stale = (node: Node): boolean => explained(node, waiting.get(node.id)) !== node;
    if (![...store.view().all('node')].some(stale)) return;
    await store.decide((view) =>
      [...view.all('node')]
        .filter(stale)
        .map((node) => ({ kind: 'update', table: 'node', object: explained(node, waiting.get(node.id)) })),
    );
  }

  #pause(delayMs: number): Promise<void> {
    return new Promise<void>((resolve) => {
      const cancel: CancelTimer = this.#options.clock.setTimer(delayMs, resolve);
      this.#wake = () => {
        cancel();
        resolve();
      };
      if (this.#stopped) this.#wake();
    });
  }
}

/** Whether a change of a node may call for a step; heartbeats and descriptions do not. */
function concernsRoles(event: CommitEvents['events'][number]): boolean {
  if (event.table !== 'node' || event.kind !== 'update') return true;
  const { old, object } = event;
  return old.role !== object.role || old.spec?.desiredRole !== object.spec?.desiredRole;
}

/** The node with the reason in its status; the same object when nothing changes. */
function explained(node: Node, reason: string | undefined): Node {
  if (reason === undefined) return withoutWaiting(node);
  const message = `${WAITING}${reason}`;
  if (node.status?.message === message) return node;
  return { ...node, status: { ...(node.status ?? NodeStatus.create()), message } };
}

function withoutWaiting(node: Node): Node {
  if (node.status?.message.startsWith(WAITING) !== true) return node;
  return { ...node, status: { ...node.status, message: '' } };
}
