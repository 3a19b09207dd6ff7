/**
 * What one node has been told, and what it has to be told next. Pure: a full set from a view, then the difference that
 * each commit makes. Revisions are sent once per node and taken back with their last task; secrets and configs are taken
 * back already when the last task that has them has ended.
 */

import { AssignmentChange } from '#gen/swarm/v1/dispatcher.ts';
import { Revision, Task, TaskState } from '#gen/swarm/v1/objects.ts';
import { hasPayloads } from '#manager/payloads/index.ts';
import type { StoreEvent, StoreView } from '#manager/store/index.ts';
import { PayloadUses } from './payload-uses.ts';

/** What of a task the agent acts on; a change in anything else (its own status coming back) is not sent. */
function relevant(old: Task, task: Task): boolean {
  return (
    old.desiredState !== task.desiredState ||
    old.nodeId !== task.nodeId ||
    old.revision !== task.revision ||
    (old.status?.state ?? TaskState.NEW) < TaskState.ASSIGNED
  );
}

/** Assigned and neither lost nor refused by a manager behind the node's back. */
function isAssigned(task: Task): boolean {
  return (task.status?.state ?? TaskState.NEW) >= TaskState.ASSIGNED;
}

export class AssignmentBuilder {
  readonly #nodeId: string;
  readonly #tasks = new Set<string>();
  /** Tasks per revision that the node knows of. Invariant: no entry is empty. */
  readonly #revisions = new Map<string, Set<string>>();
  readonly #payloads = new PayloadUses();
  readonly #isHeld: (taskId: string) => boolean;

  /** @param isHeld whether the node must not yet know that the task is to stop */
  constructor(nodeId: string, isHeld: (taskId: string) => boolean) {
    this.#nodeId = nodeId;
    this.#isHeld = isHeld;
  }

  /** Everything that is assigned to the node. */
  complete(view: StoreView): readonly AssignmentChange[] {
    this.#tasks.clear();
    this.#revisions.clear();
    this.#payloads.clear();
    const changes: AssignmentChange[] = [];
    for (const task of view.tasksOfNode(this.#nodeId)) if (isAssigned(task)) this.#add(task, view, changes);
    return changes;
  }

  /** What the events change for the node; `view` includes them. */
  increment(events: readonly StoreEvent[], view: StoreView): readonly AssignmentChange[] {
    const changes: AssignmentChange[] = [];
    for (const event of events) {
      if (event.table !== 'task' || event.object.nodeId !== this.#nodeId) continue;
      const known = this.#tasks.has(event.object.id);
      if (event.kind === 'remove') {
        if (known) this.#remove(event.object, changes);
      } else if (isAssigned(event.object)) {
        const isHeld = known && this.#isHeld(event.object.id);
        if (!isHeld && (!known || event.kind === 'create' || relevant(event.old, event.object)))
          this.#add(event.object, view, changes);
        if (!hasPayloads(event.object)) this.#payloads.release(event.object.id, changes);
      }
    }
    return changes;
  }

  /** A task that was held is as it is. */
  release(task: Task, view: StoreView): readonly AssignmentChange[] {
    const changes: AssignmentChange[] = [];
    if (this.#tasks.has(task.id)) this.#add(task, view, changes);
    return changes;
  }

  #add(task: Task, view: StoreView, changes: AssignmentChange[]): void {
    const key = `${task.serviceId}/${task.revision}`;
    let users = this.#revisions.get(key);
    const revision = view.revision(task.serviceId, task.revision);
    if (revision !== undefined) this.#payloads.add(task, revision, view, changes);
    if (users === undefined) {
      if (revision === undefined) return; // its service is going; a task that never ran has no need of it
      users = new Set();
      this.#revisions.set(key, users);
      changes.push(AssignmentChange.create({ item: { kind: 'revision', value: revision } }));
    }
    users.add(task.id);
    this.#tasks.add(task.id);
    const value = this.#isHeld(task.id) ? { ...task, desiredState: TaskState.RUNNING } : task;
    changes.push(AssignmentChange.create({ item: { kind: 'task', value } }));
  }

  #remove(task: Task, changes: AssignmentChange[]): void {
    this.#tasks.delete(task.id);
    this.#payloads.release(task.id, changes);
    const removed = Task.create({ id: task.id });
    changes.push(AssignmentChange.create({ remove: true, item: { kind: 'task', value: removed } }));
    const key = `${task.serviceId}/${task.revision}`;
    const users = this.#revisions.get(key);
    if (users === undefined || !users.delete(task.id) || users.size > 0) return;
    this.#revisions.delete(key);
    const revision = Revision.create({ serviceId: task.serviceId, number: task.revision });
    changes.push(AssignmentChange.create({ remove: true, item: { kind: 'revision', value: revision } }));
  }
}
