/**
 * The leader's side of all agents' sessions: who is alive, what each has to run, what each has to say. Holds nothing
 * that the store does not: a new leader starts from a view, and agents come to it with fresh sessions.
 */
import type { CancelTimer, Clock } from '#common/clock.ts';
import { SwarmError } from '#common/errors.ts';
import { newId } from '#common/ids.ts';
import type { Logger } from '#common/log.ts';
import type { Random } from '#common/random.ts';
import {
  type AgentHello,
  type AgentLeaving,
  ManagerList,
  SessionEndReason,
  type SessionRequest,
  SessionResponse,
  type StatusBatch,
} from '#gen/swarm/v1/dispatcher.ts';
import type { NetworkCheck, NetworkCheckReport } from '#gen/swarm/v1/doctor.ts';
import { type ManagerPeer, type Node, type NodeDescription } from '#gen/swarm/v1/objects.ts';
import { nodeLifetimeMs } from '#manager/ca/index.ts';
import { NetworkTables } from '#manager/discovery/index.ts';
import { isLost } from '#manager/orchestrator/index.ts';
import type { CommitEvents, StoreEvent, StoreView } from '#manager/store/index.ts';
import { ChangeWriter, type DispatcherStore, type NodeEdit } from './change-writer.ts';
import type { DispatcherConfig } from './config.ts';
import { DispatcherSession, type SessionOutput } from './dispatcher-session.ts';
import { NetworkFeed } from './network-feed.ts';
import { NodeDescriptions, shownLine } from './node-descriptions.ts';
import type { HeardElsewhere } from './node-tracker.ts';
import { NodeWatch } from './node-watch.ts';
import { SessionBegins } from './session-begins.ts';
import { SharedMessages } from './shared-messages.ts';
import { TaskWithdrawal } from './task-withdrawal.ts';
import { nodeAsTold } from './told-node.ts';
import { rootsText, trustedRootsOf } from './told-roots.ts';
import { VolumeReports } from './volume-reports.ts';

export interface DispatcherOptions {
  readonly store: DispatcherStore;
  /** Where agents may turn to: the managers that have a vote. */
  readonly managers: () => readonly ManagerPeer[];
  /** When the manager on a node was last heard of by the others; undefined for a node without, and where nobody knows. */
  readonly managerHeardMs?: HeardElsewhere;
  /** A node has looked at its networks, as `askNetworks` wanted. */
  readonly onNetworkReport?: ((nodeId: string, report: NetworkCheckReport) => void) | undefined;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly config: DispatcherConfig;
}

export class Dispatcher {
  readonly #options: DispatcherOptions;
  readonly #sessions = new Map<string, DispatcherSession>();
  readonly #nodes: NodeWatch;
  readonly #networks = new NetworkTables();
  readonly #withdrawal: TaskWithdrawal;
  readonly #volumes: VolumeReports;
  readonly #descriptions: NodeDescriptions;
  #writer: ChangeWriter;
  #leading = false;
  #flushing: CancelTimer | undefined;
  readonly #dirty = new Set<DispatcherSession>();
  readonly #begins: SessionBegins;
  /** Sessions of nodes that were lost, which do not count as ready yet, with what makes them. */
  readonly #returning = new Map<DispatcherSession, () => void>();
  /** Lifetime of certificates that are issued now; agents compare it with what is left of theirs. */
  #certExpiryMs = 0;
  /** Roots that agents were told last to trust. */
  #roots = '';
  /** What agents were told last of the managers. */
  #managers = '';

  constructor(options: DispatcherOptions) {
    this.#options = options;
    this.#writer = new ChangeWriter(options.store, options.logger);
    const { store, clock, random, logger, config, managerHeardMs = () => undefined } = options;
    this.#nodes = new NodeWatch({
      view: () => store.view(),
      managerHeardMs,
      hasSession: (nodeId) => this.#sessions.has(nodeId),
      onExpired: (nodeId) => this.#expired(nodeId),
      clock,
      logger,
      config,
    });
    this.#descriptions = new NodeDescriptions(logger);
    this.#volumes = new VolumeReports({ store, clock, random, logger, featureLevel: config.volumesFeatureLevel });
    this.#begins = new SessionBegins({
      begin: (session, shared) => {
        if (this.#sessions.get(session.nodeId) === session) session.sendComplete(store.view(), shared);
      },
      clock,
      sliceMs: config.beginSliceMs,
    });
    this.#withdrawal = new TaskWithdrawal({
      networks: this.#networks,
      clock: options.clock,
      logger: options.logger,
      config: options.config,
      release: (taskIds) => this.#release(taskIds),
    });
  }

  /** Leadership gained: every node that was ready has to show itself again. */
  start(view: StoreView): void {
    // Two terms without an end between them.
    if (this.#leading) this.stop('the manager leads anew');
    this.#leading = true;
    this.#writer = new ChangeWriter(this.#options.store, this.#options.logger);
    this.#managers = JSON.stringify(this.#options.managers());
    this.#roots = rootsText(trustedRootsOf(view));
    this.#adoptConfig(view);
    this.#networks.restore(view);
    this.#withdrawal.start(view);
    this.#nodes.start(view, this.#writer);
  }

  /** Leadership lost, or the daemon ends. */
  stop(message: string): void {
    this.#leading = false;
    this.#nodes.stop();
    this.#begins.clear();
    this.#flushing?.();
    this.#flushing = undefined;
    this.#writer.stop();
    this.#volumes.stop();
    this.#withdrawal.stop();
    for (const session of this.#sessions.values()) session.end(SessionEndReason.NOT_LEADER, message);
    this.#sessions.clear();
    this.#dirty.clear();
    this.#returning.clear();
  }

  /** Members of the log came, went or moved: agents are told when that concerns them. */
  managersChanged(): void {
    if (!this.#leading) return;
    const managers = this.#options.managers();
    const text = JSON.stringify(managers);
    if (text === this.#managers) return;
    this.#managers = text;
    const value = ManagerList.create({ managers });
    for (const session of this.#sessions.values())
      session.send(SessionResponse.create({ message: { kind: 'managers', value } }));
  }

  get sessionCount(): number {
    return this.#sessions.size;
  }

  /** Takes note of a commit. `view` includes it. */
  observe(commit: CommitEvents, view: StoreView): void {
    if (!this.#leading) {
      if (commit.events.some(({ table }) => table === 'cluster')) this.#adoptConfig(view);
      return;
    }
    // By node: a commit of hundreds of tasks concerns hundreds of nodes, each with one or two of them.
    const affected = new Map<string, StoreEvent[]>();
    for (const event of commit.events) {
      if (event.table === 'task' || event.table === 'volume') {
        const events = affected.get(event.object.nodeId);
        if (events === undefined) affected.set(event.object.nodeId, [event]);
        else events.push(event);
      } else if (event.table === 'node') this.#nodeChanged(event.object, event.kind === 'remove');
      else if (event.table === 'cluster') {
        if (event.kind === 'update' && event.old.rootCa !== event.object.rootCa) this.#rootsChanged(view);
        this.#adoptConfig(view);
        this.#volumes.clusterChanged();
      }
    }
    const changes = this.#networks.observe(commit.events, view);
    this.#withdrawal.observe(commit, view);
    for (const [nodeId, events] of affected) this.#sessions.get(nodeId)?.observe(events, view);
    for (const session of changes.size > 0 ? this.#sessions.values() : this.#sessionsOf(affected.keys())) {
      session.observeNetworks(commit.version, changes, affected.has(session.nodeId));
      if (session.hasPending) this.#flushSoon(session);
    }
  }

  *#sessionsOf(nodeIds: Iterable<string>): Iterable<DispatcherSession> {
    for (const nodeId of nodeIds) {
      const session = this.#sessions.get(nodeId);
      if (session !== undefined) yield session;
    }
  }

  /** What these tasks' nodes were not to know yet, they are told. */
  #release(taskIds: readonly string[]): void {
    const view = this.#options.store.view();
    for (const taskId of taskIds) {
      const task = view.get('task', taskId);
      const session = task === undefined ? undefined : this.#sessions.get(task.nodeId);
      if (task === undefined || session === undefined) continue;
      session.release(task, view);
      this.#flushSoon(session);
    }
  }

  /**
   * An agent has opened a stream and said hello. Its node is the one of its certificate. What it has to run and to know
   * it is told once its node counts as ready: while the node is down, its own tasks are not in the tables.
   * @throws SwarmError `not-leader` where this manager does not lead.
   */
  open(nodeId: string, hello: AgentHello, address: string, output: SessionOutput): DispatcherSession {
    const { config, random, store } = this.#options;
    if (!this.#leading)
      throw new SwarmError({ code: 'unavailable', reason: 'not-leader', message: 'this manager does not lead' });
    const view = store.view();
    const node = view.get('node', nodeId);
    const hasNetworks = (hello.description?.featureLevel ?? 0) >= config.networksFeatureLevel;
    const session = new DispatcherSession({
      nodeId,
      sessionId: newId(random),
      output,
      config,
      networks: hasNetworks ? new NetworkFeed(nodeId, this.#networks) : undefined,
      isHeld: (taskId) => this.#withdrawal.isHeld(taskId),
      checksNetworks: hello.checksNetworks,
    });
    if (node === undefined) {
      session.end(SessionEndReason.NODE_REMOVED, `node ${nodeId} is not part of the swarm any more`);
      return session;
    }
    const description = this.#described(session, node, hello.description);
    if (session.ended) return session;
    this.#sessions.get(nodeId)?.end(SessionEndReason.SUPERSEDED, 'the node has opened another session');
    this.#sessions.set(nodeId, session);
    this.#volumes.forget(nodeId);
    this.#nodes.heard(nodeId);
    const shownAddress = shownLine(hello.advertiseAddress) || address;
    const ready: NodeEdit = (current) =>
      // What it said of its tasks could not be kept: it says it again in its next session, and is lost until then.
      session.ended && isLost(current) ? undefined : this.#nodes.ready({ ...current, ...description }, shownAddress);
    const show = (): void =>
      this.#writer.editNode(nodeId, ready, {
        // The tables know that the node is there.
        committed: () => this.#begins.push(session),
        failed: () => this.#notWritten(session),
      });
    // What a lost host ran counts as running until its agent has said what became of it; also one that took its leave:
    // its tasks end after that.
    if (isLost(node)) this.#returning.set(session, show);
    else show();
    const managers = ManagerList.create({ managers: this.#options.managers() });
    session.send(
      SessionResponse.create({
        message: {
          kind: 'welcome',
          value: {
            sessionId: session.sessionId,
            clusterId: view.cluster()?.id ?? '',
            node: nodeAsTold(node),
            heartbeatPeriodMs: this.#nodes.tellPeriod(nodeId, 'welcome'),
            managers,
            trustedRoots: trustedRootsOf(view),
          },
        },
      }),
    );
    return session;
  }

  /** An agent says how its tasks are before its first heartbeat. */
  #returned(session: DispatcherSession): void {
    const show = this.#returning.get(session);
    this.#returning.delete(session);
    show?.();
  }

  /** A message of an open session. */
  receive(session: DispatcherSession, request: SessionRequest): void {
    if (session.ended || this.#sessions.get(session.nodeId) !== session) return;
    this.#nodes.heard(session.nodeId);
    const message = request.message;
    switch (message?.kind) {
      case 'heartbeat':
        this.#returned(session);
        session.send(
          SessionResponse.create({
            message: {
              kind: 'heartbeatAck',
              value: {
                periodMs: this.#nodes.tellPeriod(session.nodeId, 'answer'),
                certExpiryMs: this.#certExpiryMs,
              },
            },
          }),
        );
        return;
      case 'statuses':
        this.#statuses(session, message.value);
        return;
      case 'description':
        this.#describedAnew(session, message.value);
        return;
      case 'leaving':
        this.#leaving(session, message.value);
        return;
      case 'appliedNetworks':
        this.#withdrawal.confirmed(session.nodeId, message.value.version);
        return;
      case 'networkCheckReport':
        this.#options.onNetworkReport?.(session.nodeId, message.value);
        return;
      case 'volumes':
        this.#volumes.receive(session.nodeId, message.value);
        return;
      case 'hello': // a second hello says nothing new
      case 'applied': // what runs, statuses say
      case undefined: // a message of a newer agent
        return;
    }
  }

  /** The tables of networks, as agents have them once they were told all that there is to tell. */
  get networks(): NetworkTables {
    return this.#networks;
  }

  /** Asks a node to look at its networks. `unable`: its release cannot; `absent`: it has no session. */
  askNetworks(nodeId: string, value: NetworkCheck): 'asked' | 'unable' | 'absent' {
    const session = this.#sessions.get(nodeId);
    if (session === undefined || session.ended) return 'absent';
    if (!session.checksNetworks) return 'unable';
    // What it was not told yet it could not have.
    session.flush(new SharedMessages());
    session.send(SessionResponse.create({ message: { kind: 'networkCheck', value } }));
    return 'asked';
  }

  /** The stream of a session is gone. The node is not: it has its grace to come back. */
  closed(session: DispatcherSession): void {
    session.lost();
    this.#dirty.delete(session);
    this.#returning.delete(session);
    if (this.#sessions.get(session.nodeId) === session) this.#sessions.delete(session.nodeId);
  }

  #statuses(session: DispatcherSession, batch: StatusBatch): void {
    if (this.#writer.size >= this.#options.config.statusQueueMax) {
      session.end(SessionEndReason.SHUTTING_DOWN, 'the manager is overloaded; statuses are sent again');
      return;
    }
    const statuses = batch.updates.flatMap(({ taskId, status }) =>
      status === undefined ? [] : [{ nodeId: session.nodeId, taskId, status }],
    );
    this.#writer.statuses(statuses, {
      committed: () =>
        session.send(SessionResponse.create({ message: { kind: 'statusAck', value: { batch: batch.batch } } })),
      failed: () => this.#notWritten(session),
    });
  }

  /** An agent sends again what it has to say when it opens its next session. */
  #notWritten(session: DispatcherSession): void {
    session.end(SessionEndReason.SHUTTING_DOWN, 'the manager could not keep what the node said; it is sent again');
  }

  #leaving(session: DispatcherSession, leaving: AgentLeaving): void {
    const { nodeId } = session;
    this.#sessions.delete(nodeId);
    session.lost();
    this.#nodes.leaving(nodeId, leaving.removed, shownLine(leaving.reason) || 'the node is going down');
  }

  #nodeChanged(node: Node, removed: boolean): void {
    const session = this.#sessions.get(node.id);
    this.#nodes.observe(node, removed);
    if (removed) {
      this.#descriptions.forget(node.id);
      this.#sessions.delete(node.id);
      session?.end(SessionEndReason.NODE_REMOVED, `node ${node.id} was removed from the swarm`);
    } else session?.send(SessionResponse.create({ message: { kind: 'node', value: nodeAsTold(node) } }));
  }

  #rootsChanged(view: StoreView): void {
    const value = trustedRootsOf(view);
    if (value === undefined || rootsText(value) === this.#roots) return;
    this.#roots = rootsText(value);
    for (const session of this.#sessions.values())
      session.send(SessionResponse.create({ message: { kind: 'trustedRoots', value } }));
  }

  /** What the node says of itself, for its object. Where that cannot be kept its session ends. */
  #described(
    session: DispatcherSession,
    node: Node,
    told: NodeDescription | undefined,
  ): Pick<Node, 'description'> | {} {
    try {
      const description = this.#descriptions.taken(node, told, this.#options.store.view());
      return description === undefined ? {} : { description };
    } catch (thrown) {
      const { message, hint } = SwarmError.from(thrown);
      session.end(SessionEndReason.SHUTTING_DOWN, `${message}: ${hint}`);
      return {};
    }
  }

  #describedAnew(session: DispatcherSession, told: NodeDescription): void {
    const node = this.#options.store.view().get('node', session.nodeId);
    if (node === undefined) return;
    const description = this.#described(session, node, told);
    if (session.ended) return;
    const edit: NodeEdit = (current) => ({ ...current, ...description });
    this.#writer.editNode(session.nodeId, edit, { failed: () => this.#notWritten(session) });
  }

  #adoptConfig(view: StoreView): void {
    const spec = view.cluster()?.spec;
    this.#nodes.adoptConfig(view);
    this.#certExpiryMs = nodeLifetimeMs(spec);
  }

  #flushSoon(session: DispatcherSession): void {
    this.#dirty.add(session);
    this.#flushing ??= this.#options.clock.setTimer(this.#options.config.assignmentDelayMs, () => {
      this.#flushing = undefined;
      const shared = new SharedMessages();
      for (const dirty of this.#dirty) dirty.flush(shared);
      this.#dirty.clear();
    });
  }

  #expired(nodeId: string): void {
    const session = this.#sessions.get(nodeId);
    this.#sessions.delete(nodeId);
    session?.end(SessionEndReason.MISSED_HEARTBEATS, 'no heartbeat came in time');
  }
}
