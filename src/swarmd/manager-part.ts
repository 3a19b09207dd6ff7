/**
 * The manager's side of one node: the cluster server, then the log and everything upon it. Comes up in the background,
 * again and again as long as what is in the way may pass, so that the node's agent never depends on it:
 *
 *   starting --> serving --removed from the log--> starting (joins again, once the leader lets it)
 *      |  ^ backoff
 *      |  +--- passing error
 *      +--> failed (for good: the log is damaged, the release is too old)                             closed
 */
import { dirname } from 'node:path';
import { backoffDelay } from '#common/backoff.ts';
import { type ErrorReason, SwarmError } from '#common/errors.ts';
import { GrpcPeerTransport } from '#manager/raft/index.ts';
import { type ClusterServer, startClusterServer } from './cluster-server.ts';
import type { DaemonConfig } from './config.ts';
import { forgetLog } from './forget-log.ts';
import { asFullDisk } from './full-disk.ts';
import { KeyLocker, keysPending } from './key-locker.ts';
import type { ManagerRole } from './manager-role.ts';
import { finishForced, type ManagerStart, makeManager } from './manager-start.ts';
import { watchMemberships } from './membership-watch.ts';

export interface ManagerPartOptions extends Pick<ManagerStart, 'parts' | 'identity' | 'keys' | 'others' | 'onAddress'> {
  readonly config: DaemonConfig;
  /** Gets another certificate for this node, and with it another key. */
  readonly renew: () => Promise<void>;
  /** Runs when nothing else changes the identity of this node. Rejects when the node is no member any more. */
  readonly turn: <T>(run: () => Promise<T>) => Promise<T>;
}

type State =
  /** With why the last attempt failed. */
  | { readonly kind: 'starting'; readonly error: SwarmError | undefined }
  | { readonly kind: 'serving'; readonly role: ManagerRole }
  | { readonly kind: 'failed'; readonly error: SwarmError }
  | { readonly kind: 'closed' };

/** What no waiting mends. */
const FINAL: ReadonlySet<string> = new Set(['corrupt-log', 'corrupt-state', 'feature-level']);
/** What a node meets in passing while its promotion or the election of a leader is under way. */
const PASSING: ReadonlySet<string> = new Set(['wrong-role', 'not-leader', 'no-quorum', 'leadership-lost', 'timeout']);

/** Whether what `settled` has resolved with may be over by itself: then the manager part goes on trying. */
export function mayPass(problem: SwarmError): boolean {
  return PASSING.has(problem.reason);
}

/** What is said of this manager and would mean something else to who asks it. */
const OWN_REASONS: ReadonlySet<string> = new Set(['node-removed', 'wrong-role', 'wiped-member', 'wrong-member']);

export class ManagerPart {
  readonly #options: ManagerPartOptions;
  #state: State = { kind: 'starting', error: undefined };
  #server: ClusterServer | undefined;
  /** The role of the attempt that is under way, or that serves. */
  #role: ManagerRole | undefined;
  readonly #closing = new AbortController();
  readonly #listeners = new Set<() => void>();
  #wake: (() => void) | undefined;
  /** Keeps the keys on the disk as the cluster wants them while this manager serves. */
  #locker: KeyLocker | undefined;
  #attempts = 0;
  #running: Promise<void> = Promise.resolve();

  constructor(options: ManagerPartOptions) {
    this.#options = options;
  }

  /** Begins to come up; see `settled`. */
  start(): void {
    this.#running = this.#run();
  }

  /** The manager, when it serves. */
  get serving(): ManagerRole | undefined {
    return this.#state.kind === 'serving' ? this.#state.role : undefined;
  }

  /** Whether the cluster's port is served. */
  get listening(): boolean {
    return this.#server !== undefined;
  }

  /** Why it does not serve; undefined when it does, and at first. */
  get problem(): SwarmError | undefined {
    return this.#state.kind === 'failed' || this.#state.kind === 'starting' ? this.#state.error : undefined;
  }

  /** Why it will never serve, as long as this process runs; undefined while it may. */
  get failure(): SwarmError | undefined {
    return this.#state.kind === 'failed' ? this.#state.error : undefined;
  }

  /** @throws SwarmError why this manager does not serve */
  manager(): ManagerRole {
    const state = this.#state;
    if (state.kind === 'serving') return state.role;
    const error = this.problem;
    throw new SwarmError({
      code: 'unavailable',
      reason: state.kind === 'closed' ? 'shutting-down' : reasonForCaller(error),
      message:
        state.kind === 'closed'
          ? 'the manager of this node is shutting down'
          : `the manager of this node is not up yet${error === undefined ? '' : `: ${error.message}`}`,
      hint: error?.hint ?? 'try again in a moment; `swarm info` shows its state',
    });
  }

  /**
   * Resolves when the manager serves, or else with why it does not: when it has failed for good, when something stands in
   * its way that will not pass in a moment, or when the time is up.
   */
  async settled(timeoutMs: number): Promise<SwarmError | undefined> {
    const { clock } = this.#options.parts;
    const deadlineMs = clock.monotonic() + timeoutMs;
    for (;;) {
      const state = this.#state;
      if (state.kind === 'serving') return undefined;
      if (state.kind === 'closed') return closedError();
      const { error } = state;
      if (error !== undefined && (state.kind === 'failed' || !PASSING.has(error.reason))) return error;
      const leftMs = deadlineMs - clock.monotonic();
      if (leftMs <= 0) return error ?? slowError();
      await new Promise<void>((resolve) => {
        const done = (): void => {
          cancel();
          this.#listeners.delete(done);
          resolve();
        };
        const cancel = clock.setTimer(leftMs, done);
        this.#listeners.add(done);
      });
    }
  }

  /** A leader hands over before anything is closed. */
  async handOver(): Promise<void> {
    await this.serving?.handOver();
  }

  async close(): Promise<void> {
    this.#closing.abort(closedError());
    this.#wake?.();
    try {
      // Also ends a start that waits for others.
      await this.#role?.close();
    } finally {
      await this.#running;
      this.#become({ kind: 'closed' });
      const server = this.#server;
      this.#server = undefined;
      // Whatever else fails: the port is needed by who comes next.
      await server?.close();
    }
  }

  #become(state: State): void {
    this.#state = state;
    for (const listener of [...this.#listeners]) listener();
  }

  async #run(): Promise<void> {
    const { parts, config } = this.#options;
    while (!this.#closing.signal.aborted) {
      try {
        await this.#live();
      } catch (thrown) {
        if (this.#closing.signal.aborted) return;
        const cause = SwarmError.from(thrown);
        const error = (await asFullDisk(cause, dirname(parts.paths.log))) ?? cause;
        parts.logger.warn('the manager of this node is not up', { error: error.message, hint: error.hint });
        if (FINAL.has(error.reason)) {
          this.#become({ kind: 'failed', error });
          return;
        }
        this.#become({ kind: 'starting', error });
      }
      await this.#pause(backoffDelay(config.managerRetry, this.#attempts++, parts.random));
    }
  }

  #pause(delayMs: number): Promise<void> {
    return new Promise<void>((resolve) => {
      const cancel = this.#options.parts.clock.setTimer(delayMs, resolve);
      this.#wake = () => {
        cancel();
        resolve();
      };
      if (this.#closing.signal.aborted) this.#wake();
    });
  }

  /** One life of the manager: resolves when it was closed. @throws SwarmError why it does not come up, or was removed */
  async #live(): Promise<void> {
    const removal = Promise.withResolvers<never>();
    removal.promise.catch(() => {});
    const role = await this.#make((error) => removal.reject(error));
    this.#role = role;
    let removed = false;
    let stopWatching = (): void => {};
    removal.promise.catch(() => {
      removed = true;
    });
    try {
      await Promise.race([role.start(), removal.promise]);
      if (this.#closing.signal.aborted) return;
      await finishForced(role, this.#options.parts);
      this.#attempts = 0;
      this.#become({ kind: 'serving', role });
      this.#locker = this.#keepKeys(role);
      const { clock } = this.#options.parts;
      stopWatching = watchMemberships(role, clock, (isConcerned) => this.#server?.review(isConcerned));
      await Promise.race([aborted(this.#closing.signal), removal.promise]);
    } catch (thrown) {
      this.#become({ kind: 'starting', error: SwarmError.from(thrown) });
      throw thrown;
    } finally {
      stopWatching();
      await this.#locker?.close();
      this.#locker = undefined;
      this.#role = undefined;
      await role.close();
      // What the node is from now on it hears from the leader: a worker, or a manager that joins again.
      if (removed) await forgetLog(this.#options.parts.paths);
    }
  }

  async #make(onRemoved: (error: SwarmError) => void): Promise<ManagerRole> {
    const { parts, identity } = this.#options;
    const transport = new GrpcPeerTransport({
      tls: identity.tls,
      clusterId: identity.clusterId,
      logger: parts.logger,
      clock: parts.clock,
      random: parts.random,
    });
    // The leader dials back to those that join, and peers connect as soon as the log runs: the server comes first.
    this.#server ??= await this.#listen();
    this.#server.serveLog(transport);
    return makeManager({ ...this.#options, transport, signal: this.#closing.signal, onRemoved });
  }

  /** Resolves when the keys on the disk are as the cluster wants them; or, with why they are not, when the time is up. */
  async keysSettled(timeoutMs: number): Promise<SwarmError | undefined> {
    return this.#locker === undefined ? keysPending(this.problem) : this.#locker.settled(timeoutMs);
  }

  /** Why the keys on the disk are not as the cluster wants them; undefined when they are, or about to be. */
  get keysProblem(): SwarmError | undefined {
    return this.#locker?.problem;
  }

  #keepKeys({ store, log }: ManagerRole): KeyLocker {
    const { keys, renew, turn, parts, config } = this.#options;
    const { clock, random, logger } = parts;
    const locker = new KeyLocker({ store, log, keys, renew, turn, clock, random, logger, config: config.keyLocker });
    locker.start();
    return locker;
  }

  #listen(): Promise<ClusterServer> {
    const { identity, parts } = this.#options;
    return startClusterServer({
      identity,
      manager: () => this.manager(),
      problem: () => this.failure?.message,
      logger: parts.logger,
    });
  }
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener('abort', () => resolve(), { once: true });
  });
}

function closedError(): SwarmError {
  return new SwarmError({
    code: 'unavailable',
    reason: 'shutting-down',
    message: 'the manager of this node is shutting down',
  });
}

/** What is wrong with this manager is not wrong with who asks: a worker that is told of a removal takes it for its own. */
function reasonForCaller(error: SwarmError | undefined): ErrorReason {
  return error === undefined || OWN_REASONS.has(error.reason) ? 'not-leader' : error.reason;
}

function slowError(): SwarmError {
  return new SwarmError({
    code: 'deadline',
    reason: 'timeout',
    message: 'the manager of this node has not caught up with the others in time',
    hint: 'it goes on in the background: `swarm info` shows when it is done',
  });
}
