/**
 * One agent's session, as the leader sees it: what to tell it, in messages of bounded size, and when to stop.
 */
import {
  type AssignmentChange,
  Assignments,
  AssignmentsType,
  AssignmentChange as ChangeCodec,
  SessionEnd,
  type SessionEndReason,
  SessionResponse,
} from '#gen/swarm/v1/dispatcher.ts';
import {
  type NetworkChange,
  NetworkChanges,
  NetworkChangesType,
  NetworkChange as NetworkCodec,
} from '#gen/swarm/v1/networks.ts';
import type { ManagerPeer, Task } from '#gen/swarm/v1/objects.ts';
import type { NetworkTableChanges } from '#manager/discovery/index.ts';
import type { StoreEvent, StoreView } from '#manager/store/index.ts';
import { AssignmentBuilder } from './assignment-builder.ts';
import type { DispatcherConfig } from './config.ts';
import type { NetworkFeed } from './network-feed.ts';
import type { SharedMessages } from './shared-messages.ts';
import { newVolumeCommands, volumeCommands } from './volume-commands.ts';

/** Where a session's messages go. Sending never blocks; a full pipe is for the transport to report by `close`. */
export interface SessionOutput {
  send(message: SessionResponse): void;
  /** Ends the stream after what was sent. */
  end(): void;
}

/** The last message of a session. The leader is named when the agent may go to it at once. */
export function endOf(reason: SessionEndReason, message: string, leader?: ManagerPeer): SessionResponse {
  return SessionResponse.create({ message: { kind: 'end', value: SessionEnd.create({ reason, message, leader }) } });
}

export interface SessionOptions {
  readonly nodeId: string;
  readonly sessionId: string;
  readonly output: SessionOutput;
  readonly config: DispatcherConfig;
  /** Undefined for an agent that does not understand network tables. */
  readonly networks: NetworkFeed | undefined;
  readonly isHeld: (taskId: string) => boolean;
  /** The agent looks at its networks when it is asked to. */
  readonly checksNetworks?: boolean;
}

export class DispatcherSession {
  readonly nodeId: string;
  readonly sessionId: string;
  readonly checksNetworks: boolean;
  readonly #output: SessionOutput;
  readonly #config: DispatcherConfig;
  readonly #builder: AssignmentBuilder;
  readonly #networks: NetworkFeed | undefined;
  /** Chains the increments: each names the version that it applies to. */
  #version = 0;
  #pending: AssignmentChange[] = [];
  /** Lists of changes, in order; other sessions may have the very same ones. */
  #pendingNetworks: (readonly NetworkChange[])[] = [];
  /** Commit that the tables stand for once what is pending was sent. */
  #networksVersion = 0;
  /** Whether the complete set was sent. Invariant: before it, nothing is noted and nothing else of it is sent. */
  #begun = false;
  #ended = false;

  constructor({ nodeId, sessionId, output, config, networks, isHeld, checksNetworks = false }: SessionOptions) {
    this.nodeId = nodeId;
    this.checksNetworks = checksNetworks;
    this.sessionId = sessionId;
    this.#output = output;
    this.#config = config;
    this.#networks = networks;
    this.#builder = new AssignmentBuilder(nodeId, isHeld);
  }

  get ended(): boolean {
    return this.#ended;
  }

  send(message: SessionResponse): void {
    if (!this.#ended) this.#output.send(message);
  }

  /**
   * Everything anew. Networks come first: the tasks need them.
   *
   * @param shared messages of the sessions that are told together
   */
  sendComplete(view: StoreView, shared: SharedMessages): void {
    this.#begun = true;
    this.#pending = [];
    this.#pendingNetworks = [];
    this.#networksVersion = view.version;
    const networks = this.#networks;
    if (networks !== undefined) {
      const ids = networks.begin();
      const make = (): readonly SessionResponse[] =>
        this.#networkMessages(NetworkChangesType.COMPLETE, networks.complete(ids));
      for (const message of shared.complete(view.version, ids, make)) this.send(message);
    }
    const changes = [...volumeCommands(view, this.nodeId), ...this.#builder.complete(view)];
    this.#sendChanges(AssignmentsType.COMPLETE, changes);
  }

  /** Takes note of what a commit did to the node's tasks and volumes: the events are of these alone. */
  observe(events: readonly StoreEvent[], view: StoreView): void {
    if (!this.#begun) return;
    for (const change of newVolumeCommands(events, this.nodeId)) this.#pending.push(change);
    for (const change of this.#builder.increment(events, view)) this.#pending.push(change);
  }

  /** Takes note of what a commit did to networks. `mayNeedOthers` as in `NetworkFeed`. */
  observeNetworks(version: number, changes: NetworkTableChanges, mayNeedOthers: boolean): void {
    if (!this.#begun) return;
    for (const list of this.#networks?.increment(changes, mayNeedOthers) ?? []) this.#pendingNetworks.push(list);
    this.#networksVersion = version;
  }

  /** The node may know now what became of a task. */
  release(task: Task, view: StoreView): void {
    if (!this.#begun) return;
    for (const change of this.#builder.release(task, view)) this.#pending.push(change);
  }

  get hasPending(): boolean {
    return this.#pending.length > 0 || this.#pendingNetworks.length > 0;
  }

  /** @param shared messages of the sessions that are flushed together */
  flush(shared: SharedMessages): void {
    if (this.#ended) return;
    if (this.#pendingNetworks.length > 0) {
      const lists = this.#pendingNetworks;
      this.#pendingNetworks = [];
      const make = (): readonly SessionResponse[] =>
        this.#networkMessages(NetworkChangesType.INCREMENTAL, lists.flat());
      for (const message of shared.of(this.#networksVersion, lists, make)) this.send(message);
    }
    if (this.#pending.length === 0) return;
    const changes = this.#pending;
    this.#pending = [];
    this.#sendChanges(AssignmentsType.INCREMENTAL, changes);
  }

  end(reason: SessionEndReason, message: string): void {
    if (this.#ended) return;
    this.send(endOf(reason, message));
    this.#ended = true;
    this.#output.end();
  }

  /** The stream is gone. */
  lost(): void {
    this.#ended = true;
  }

  #sendChanges(type: AssignmentsType, changes: readonly AssignmentChange[]): void {
    const appliesTo = this.#version;
    const resultsIn = ++this.#version;
    this.#inParts(changes, ChangeCodec, (part, more) => {
      const value = Assignments.create({ type, appliesTo, resultsIn, changes: part, more });
      this.send(SessionResponse.create({ message: { kind: 'assignments', value } }));
    });
  }

  #networkMessages(type: NetworkChangesType, changes: readonly NetworkChange[]): readonly SessionResponse[] {
    const version = this.#networksVersion;
    const messages: SessionResponse[] = [];
    this.#inParts(changes, NetworkCodec, (part, more) => {
      const value = NetworkChanges.create({ type, version, changes: part, more });
      messages.push(SessionResponse.create({ message: { kind: 'networks', value } }));
    });
    return messages;
  }

  /** At least one part, which may be empty. */
  #inParts<T>(
    changes: readonly T[],
    codec: { encode(change: T): Uint8Array },
    send: (part: readonly T[], more: boolean) => void,
  ): void {
    const { assignmentChangesMax, assignmentBytesMax } = this.#config;
    let part: T[] = [];
    let bytes = 0;
    for (const change of changes) {
      const size = codec.encode(change).length;
      if (part.length > 0 && (part.length >= assignmentChangesMax || bytes + size > assignmentBytesMax)) {
        send(part, true);
        part = [];
        bytes = 0;
      }
      part.push(change);
      bytes += size;
    }
    send(part, false);
  }
}
