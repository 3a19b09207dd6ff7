/**
 * Who is alive, as the store has it: nodes become READY when their agents show themselves, UNKNOWN under a new leader,
 * DISCONNECTED when they take their leave, DOWN when they are silent for too long. Only monotonic time counts; the wall
 * clock's can only shorten what is left of a grace, and never below that of any node that falls silent.
 */
import type { CancelTimer, Clock } from '#common/clock.ts';
import type { Logger } from '#common/log.ts';
import { type Node, NodeState, NodeStatus } from '#gen/swarm/v1/objects.ts';
import { isLost } from '#manager/orchestrator/index.ts';
import type { StoreView } from '#manager/store/index.ts';
import type { ChangeWriter, NodeEdit } from './change-writer.ts';
import type { DispatcherConfig } from './config.ts';
import { type ExpectedNode, type HeardElsewhere, NodeTracker } from './node-tracker.ts';
import { Silences } from './silences.ts';

export interface NodeWatchOptions {
  readonly view: () => StoreView;
  readonly managerHeardMs: HeardElsewhere;
  readonly hasSession: (nodeId: string) => boolean;
  /** A node has missed its heartbeats. */
  readonly onExpired: (nodeId: string) => void;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly config: DispatcherConfig;
}

export class NodeWatch {
  readonly #options: NodeWatchOptions;
  readonly #tracker: NodeTracker;
  readonly #silences = new Silences();
  #writer: ChangeWriter | undefined;
  #expiry: CancelTimer | undefined;
  #lastCheckMs = 0;
  #lastSilencesMs = 0;
  /** When this manager was held up last: before that it may have missed what others said. */
  #resumedMs = -Infinity;

  constructor(options: NodeWatchOptions) {
    this.#options = options;
    this.#tracker = new NodeTracker(options.config);
  }

  /** Leadership gained: every node that was ready has to show itself again. What was known of an earlier term is dropped. */
  start(view: StoreView, writer: ChangeWriter): void {
    const now = this.#options.clock.monotonic();
    this.#writer = writer;
    this.#tracker.clear();
    this.#silences.clear();
    this.adoptConfig(view);
    const expected: ExpectedNode[] = [];
    for (const node of view.all('node')) {
      this.#silences.set(node, now);
      const state = node.status?.state;
      if (state === NodeState.DISCONNECTED) this.#tracker.leaving(node.id, now, this.#sinceMs(node));
      if (state === NodeState.UNKNOWN) expected.push({ nodeId: node.id, hadMs: this.#sinceMs(node) });
      if (state !== NodeState.READY) continue;
      expected.push({ nodeId: node.id, hadMs: 0 });
      this.#setState(node.id, NodeState.UNKNOWN, 'the swarm has a new leader, which has not heard of the node yet');
    }
    this.#tracker.expect(expected, now);
    this.#lastCheckMs = now;
    this.#armExpiry();
  }

  stop(): void {
    this.#expiry?.();
    this.#expiry = undefined;
  }

  /** Also while another manager leads: the next leader has to know what nodes may still be going by. */
  adoptConfig(view: StoreView): void {
    const periodMs = view.cluster()?.spec?.dispatcher?.heartbeatPeriodMs;
    this.#tracker.setPeriod(periodMs, this.#options.clock.monotonic());
  }

  /** How often the node is told to be heard of, in milliseconds; with its welcome, or in an answer. */
  tellPeriod(nodeId: string, where: 'welcome' | 'answer'): number {
    return this.#tracker.tell(nodeId, where === 'welcome');
  }

  /** A sign of life. */
  heard(nodeId: string): void {
    this.#tracker.heard(nodeId, this.#options.clock.monotonic());
  }

  /** A commit has the node so. */
  observe(node: Node, removed: boolean): void {
    if (!removed) {
      this.#silences.set(node, this.#options.clock.monotonic());
      return;
    }
    this.#tracker.forget(node.id);
    this.#silences.forget(node.id);
  }

  /** The node, shown to be there. */
  ready(node: Node, address: string): Node {
    return { ...node, status: this.#status(node, NodeState.READY, '', address, 0) };
  }

  /** An agent has said that it goes; for good, or until its host is back. */
  leaving(nodeId: string, removed: boolean, reason: string): void {
    if (removed) this.#tracker.forget(nodeId);
    // Its tasks end in order: what they have begun, they may finish.
    else this.#tracker.leaving(nodeId, this.#options.clock.monotonic());
    this.#setState(nodeId, removed ? NodeState.DOWN : NodeState.DISCONNECTED, reason);
  }

  /** How long the node has been in its state, by the wall clock. */
  #sinceMs({ status }: Node): number {
    return Math.max(0, this.#options.clock.now() - (status?.sinceMs ?? 0));
  }

  #status(node: Node, state: NodeState, message: string, address: string, silentMs: number): NodeStatus {
    const before = node.status;
    const now = this.#options.clock.now();
    const sinceMs = before?.state === state ? before.sinceMs : now;
    const status = NodeStatus.create({ state, message, address, sinceMs });
    if (state !== NodeState.DOWN && state !== NodeState.DISCONNECTED) return status;
    if (!this.#writesSilence()) return status;
    if (isLost(node) && before !== undefined)
      return { ...status, silentMs: Math.max(before.silentMs, silentMs), lastHeardMs: before.lastHeardMs };
    return { ...status, silentMs, lastHeardMs: now - silentMs };
  }

  /** Managers of an earlier release would drop it. */
  #writesSilence(): boolean {
    const { view, config } = this.#options;
    return (view().cluster()?.featureLevel ?? 0) >= config.silenceFeatureLevel;
  }

  /** `silentMs`: for so long nothing was surely heard of it. */
  #setState(nodeId: string, state: NodeState, message: string, silentMs = 0): void {
    const edit: NodeEdit = (node) => {
      // The node came back while this was waiting to be written.
      if (state !== NodeState.READY && this.#options.hasSession(nodeId)) return undefined;
      // Why it went says more than that it has gone.
      const left = state === NodeState.DOWN && node.status?.state === NodeState.DISCONNECTED;
      const why = left ? (node.status?.message ?? message) : message;
      return { ...node, status: this.#status(node, state, why, node.status?.address ?? '', silentMs) };
    };
    // Its time has to run out once more, or nobody would look at it again.
    const failed = (): void => this.heard(nodeId);
    this.#writer?.editNode(nodeId, edit, { failed });
  }

  #managerHeardMs(nodeId: string): number | undefined {
    const heardMs = this.#options.managerHeardMs(nodeId);
    return heardMs === undefined ? undefined : Math.max(heardMs, this.#resumedMs);
  }

  #armExpiry(): void {
    const everyMs = this.#tracker.periodMs / this.#options.config.looksPerPeriod;
    this.#expiry = this.#options.clock.setTimer(everyMs, () => {
      this.#look(everyMs);
      this.#armExpiry();
    });
  }

  #look(everyMs: number): void {
    const now = this.#options.clock.monotonic();
    const heldUpMs = now - this.#lastCheckMs - everyMs;
    this.#lastCheckMs = now;
    if (heldUpMs > this.#tracker.periodMs) {
      this.#tracker.excuse(heldUpMs);
      this.#silences.excuse(heldUpMs);
      this.#resumedMs = now;
    }
    for (const { nodeId, silentMs } of this.#tracker.expire(now, (id) => this.#managerHeardMs(id))) {
      this.#options.onExpired(nodeId);
      this.#options.logger.warn('a node is down', { node: nodeId });
      this.#setState(nodeId, NodeState.DOWN, 'heartbeat failure', silentMs);
    }
    if (now - this.#lastSilencesMs < this.#options.config.silenceLookMs) return;
    this.#lastSilencesMs = now;
    if (!this.#writesSilence()) return;
    for (const { nodeId, silentMs } of this.#silences.due(this.#options.view(), now)) this.#silentFor(nodeId, silentMs);
  }

  /** What is not written is due again at the next look. */
  #silentFor(nodeId: string, silentMs: number): void {
    const edit: NodeEdit = (node) =>
      node.status === undefined || !isLost(node) ? undefined : { ...node, status: { ...node.status, silentMs } };
    this.#writer?.editNode(nodeId, edit, { failed: () => {} });
  }
}
