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
import type { ManagerPeer } from '#gen/swarm/v1/objects.ts';
import type { StoreEvent, StoreView } from '#manager/store/index.ts';
import { AssignmentBuilder } from './assignment-builder.ts';
import type { DispatcherConfig } from './config.ts';

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

export class DispatcherSession {
  readonly nodeId: string;
  readonly sessionId: string;
  readonly #output: SessionOutput;
  readonly #config: DispatcherConfig;
  readonly #builder: AssignmentBuilder;
  /** Chains the increments: each names the version that it applies to. */
  #version = 0;
  #pending: AssignmentChange[] = [];
  #ended = false;

  constructor(nodeId: string, sessionId: string, output: SessionOutput, config: DispatcherConfig) {
    this.nodeId = nodeId;
    this.sessionId = sessionId;
    this.#output = output;
    this.#config = config;
    this.#builder = new AssignmentBuilder(nodeId);
  }

  get ended(): boolean {
    return this.#ended;
  }

  send(message: SessionResponse): void {
    if (!this.#ended) this.#output.send(message);
  }

  sendComplete(view: StoreView): void {
    this.#pending = [];
    this.#sendChanges(AssignmentsType.COMPLETE, this.#builder.complete(view));
  }

  /** Takes note of a commit; true when something is now waiting to be flushed. */
  observe(events: readonly StoreEvent[], view: StoreView): boolean {
    for (const change of this.#builder.increment(events, view)) this.#pending.push(change);
    return this.#pending.length > 0;
  }

  flush(): void {
    if (this.#pending.length === 0 || this.#ended) return;
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
    let part: AssignmentChange[] = [];
    let bytes = 0;
    const sendPart = (more: boolean): void => {
      const value = Assignments.create({ type, appliesTo, resultsIn, changes: part, more });
      this.send(SessionResponse.create({ message: { kind: 'assignments', value } }));
      part = [];
      bytes = 0;
    };
    for (const change of changes) {
      const size = ChangeCodec.encode(change).length;
      const full = part.length >= this.#config.assignmentChangesMax || bytes + size > this.#config.assignmentBytesMax;
      if (part.length > 0 && full) sendPart(true);
      part.push(change);
      bytes += size;
    }
    sendPart(false);
  }
}
