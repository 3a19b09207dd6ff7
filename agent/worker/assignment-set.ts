/** The tasks and revisions that a manager has assigned to this node, as the chained messages of a session build them. */
import { SwarmError } from '#common/errors.ts';
import { type AssignmentChange, type Assignments, AssignmentsType } from '#gen/swarm/v1/dispatcher.ts';

/** One whole set or step, its parts joined. */
export interface AssignmentStep {
  readonly complete: boolean;
  readonly version: number;
  readonly changes: readonly AssignmentChange[];
}

/** Joins the parts of one set or step; refuses a chain with a hole. */
export class AssignmentCollector {
  #version = 0;
  #parts: AssignmentChange[] = [];

  /** The step that the message completes, or undefined while more parts are to come. */
  add(message: Assignments): AssignmentStep | undefined {
    const complete = message.type === AssignmentsType.COMPLETE;
    if (!complete && message.appliesTo !== this.#version)
      throw new SwarmError({
        code: 'internal',
        reason: 'session-invalid',
        message: `assignments apply to version ${message.appliesTo}, this node is at ${this.#version}`,
        hint: 'the session starts over by itself',
      });
    for (const change of message.changes) this.#parts.push(change);
    if (message.more) return undefined;
    const step = { complete, version: message.resultsIn, changes: this.#parts };
    this.#parts = [];
    this.#version = message.resultsIn;
    return step;
  }
}
