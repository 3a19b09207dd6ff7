/**
 * Brings the output of tasks to whoever asks for it: readers subscribe here, agents listen for subscriptions and
 * publish what they have. Nothing is stored. What is missing is said in a warning, and never holds up the rest.
 */

import type { CancelTimer, Clock } from '#common/clock.ts';
import { SwarmError } from '#common/errors.ts';
import { newId } from '#common/ids.ts';
import type { Random } from '#common/random.ts';
import { AsyncQueue } from '#common/system/async-queue.ts';
import {
  ListenSubscriptionsResponse,
  LogOptions,
  LogSelector,
  type PublishLogsRequest,
  type SubscribeLogsRequest,
  type SubscribeLogsResponse,
} from '#gen/swarm/v1/logs.ts';
import type { CommitEvents, StoreView } from '#manager/store/index.ts';
import { Subscription } from './subscription.ts';

const SUBSCRIPTIONS_MAX = 1000;
/** When the lead has moved, agents need this long at most to come to the new leader. */
const RETURN_MS = 10_000;
/** Subscriptions on their way to one agent. */
const LISTENER_QUEUE_MAX = SUBSCRIPTIONS_MAX * 4;

type Listener = AsyncQueue<ListenSubscriptionsResponse>;

export class LogBroker {
  readonly #view: () => StoreView;
  readonly #random: Random;
  readonly #clock: Clock;
  readonly #subscriptions = new Map<string, Subscription>();
  readonly #listeners = new Map<string, Listener>();

  constructor(view: () => StoreView, random: Random, clock: Clock) {
    this.#view = view;
    this.#random = random;
    this.#clock = clock;
  }

  /** The reader's side. Ends when all nodes are done, or with the reader when it follows. */
  async *subscribe(request: SubscribeLogsRequest, signal: AbortSignal): AsyncGenerator<SubscribeLogsResponse> {
    const subscription = this.#open(request);
    const stop = (): void => subscription.output.end();
    signal.addEventListener('abort', stop, { once: true });
    const cancel = this.#askAll(subscription);
    try {
      yield* subscription.output;
    } finally {
      cancel();
      signal.removeEventListener('abort', stop);
      this.#close(subscription);
    }
  }

  /** The agent's side: every subscription that concerns the node, now and later. */
  async *listen(nodeId: string, signal: AbortSignal): AsyncGenerator<ListenSubscriptionsResponse> {
    this.#listeners.get(nodeId)?.end();
    const listener: Listener = new AsyncQueue(LISTENER_QUEUE_MAX);
    this.#listeners.set(nodeId, listener);
    for (const subscription of this.#subscriptions.values())
      if (subscription.pending.has(nodeId)) this.#send(subscription, nodeId, true);
    const stop = (): void => listener.end();
    signal.addEventListener('abort', stop, { once: true });
    try {
      yield* listener;
    } finally {
      signal.removeEventListener('abort', stop);
      if (this.#listeners.get(nodeId) === listener) {
        this.#listeners.delete(nodeId);
        this.#nodeGone(nodeId);
      }
    }
  }

  /** One subscription's output from one node. */
  async publish(nodeId: string, requests: AsyncIterable<PublishLogsRequest>): Promise<void> {
    let round: number | undefined;
    for await (const request of requests) {
      const subscription = this.#subscriptions.get(request.subscriptionId);
      round ??= subscription?.round(nodeId);
      if (subscription === undefined || !subscription.tasks.has(nodeId) || subscription.round(nodeId) !== round)
        throw new SwarmError({ code: 'cancelled', reason: 'cancelled', message: 'nobody reads this subscription' });
      if (request.warnings.length > 0) subscription.warn(...request.warnings);
      await subscription.deliver(nodeId, request.messages);
      if (request.done) {
        subscription.nodeDone(nodeId);
        return;
      }
    }
  }

  /** New tasks of a followed service join in. */
  observe(commit: CommitEvents): void {
    if (this.#subscriptions.size === 0) return;
    for (const event of commit.events) {
      if (event.table !== 'task' || event.kind === 'remove') continue;
      for (const subscription of this.#subscriptions.values())
        if (subscription.options.follow && subscription.add(event.object))
          this.#send(subscription, event.object.nodeId, false);
    }
  }

  /** Leadership lost, or the daemon ends. */
  stop(error: SwarmError): void {
    for (const subscription of this.#subscriptions.values()) subscription.output.fail(error);
    for (const listener of this.#listeners.values()) listener.end();
  }

  #open(request: SubscribeLogsRequest): Subscription {
    if (this.#subscriptions.size >= SUBSCRIPTIONS_MAX)
      throw new SwarmError({
        code: 'exhausted',
        reason: 'too-many',
        message: `${SUBSCRIPTIONS_MAX} readers of logs are connected already`,
        hint: 'end some of them',
      });
    const selector = request.selector ?? LogSelector.create({});
    const options = request.options ?? LogOptions.create({ tail: -1 });
    const nowUs = Math.floor(this.#clock.now() * 1000);
    const subscription = new Subscription(newId(this.#random), selector, options, nowUs);
    subscription.collect(this.#view());
    this.#subscriptions.set(subscription.id, subscription);
    return subscription;
  }

  /** Asks the nodes, and tells which of them are missing; at once, or when those that have yet to come back had time to. */
  #askAll(subscription: Subscription): CancelTimer {
    const missing = new Set<string>();
    for (const nodeId of subscription.pending) {
      if (this.#listeners.has(nodeId)) this.#send(subscription, nodeId, false);
      else missing.add(nodeId);
    }
    const tell = (): void => {
      for (const nodeId of missing) if (!this.#listeners.has(nodeId)) this.#missing(subscription, nodeId);
    };
    if (subscription.isResumed && subscription.options.follow) return this.#clock.setTimer(RETURN_MS, tell);
    tell();
    if (subscription.pending.size === 0 && !subscription.options.follow) subscription.output.end();
    return () => {};
  }

  #send(subscription: Subscription, nodeId: string, isBack: boolean): void {
    const message = ListenSubscriptionsResponse.create({
      subscriptionId: subscription.id,
      taskIds: [...(subscription.tasks.get(nodeId) ?? [])],
      options: subscription.ask(nodeId, isBack),
    });
    if (this.#listeners.get(nodeId)?.offer(message) === true) subscription.missing.delete(nodeId);
    else this.#missing(subscription, nodeId);
  }

  #missing(subscription: Subscription, nodeId: string): void {
    const name = this.#view().get('node', nodeId)?.description?.hostname ?? nodeId;
    if (!subscription.missing.has(nodeId)) subscription.warn(`incomplete log stream: node ${name} is not available`);
    subscription.missing.add(nodeId);
    if (!subscription.options.follow) subscription.nodeDone(nodeId);
  }

  #nodeGone(nodeId: string): void {
    for (const subscription of this.#subscriptions.values())
      if (subscription.pending.has(nodeId)) this.#missing(subscription, nodeId);
  }

  #close(subscription: Subscription): void {
    this.#subscriptions.delete(subscription.id);
    const message = ListenSubscriptionsResponse.create({ subscriptionId: subscription.id, close: true });
    for (const nodeId of subscription.tasks.keys()) this.#listeners.get(nodeId)?.offer(message);
  }
}
