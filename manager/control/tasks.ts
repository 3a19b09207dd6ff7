/** Reading tasks. */
import { SwarmError } from '#common/errors.ts';
import { type ListTasksRequest, TaskNodeLoss, type TaskView } from '#gen/swarm/v1/control.ts';
import { NodeState, type Task, TaskState } from '#gen/swarm/v1/objects.ts';
import type { TaskSpec } from '#gen/swarm/v1/specs.ts';
import { replacedAfterMs, ViewedLoss } from '#manager/orchestrator/index.ts';
import type { StoreView } from '#manager/store/index.ts';
import { allLabels, anyContained, anyPrefix } from './filters.ts';
import { redactSpec } from './redact.ts';

/** "web.3" for a replicated service, "web.<node id>" for a global one; its own name for a container of `swarm run`. */
export function taskName(view: StoreView, task: Task): string {
  if (task.oneOff !== undefined) return task.oneOff.name;
  const service = view.get('service', task.serviceId)?.spec?.name ?? task.serviceId;
  return `${service}.${task.slot > 0 ? task.slot : task.nodeId}`;
}

export function taskView(view: StoreView, task: Task, withSpec: boolean): TaskView {
  const service = view.get('service', task.serviceId);
  const spec = redactSpec(view.revision(task.serviceId, task.revision)?.spec)?.task;
  return {
    task,
    serviceName: service?.spec?.name ?? task.serviceId,
    nodeHostname: view.get('node', task.nodeId)?.description?.hostname ?? '',
    image: imageOf(spec),
    spec: withSpec ? spec : undefined,
    nodeLoss: nodeLossOf(view, task),
  };
}

/** A task of a node that has fallen silent: what its state says was so when the node was heard of last. */
function nodeLossOf(view: StoreView, task: Task): TaskNodeLoss | undefined {
  const status = view.get('node', task.nodeId)?.status;
  const isLost = status?.state === NodeState.DOWN || status?.state === NodeState.DISCONNECTED;
  if (!isLost || (task.status?.state ?? TaskState.NEW) > TaskState.RUNNING) return undefined;
  const loss = new ViewedLoss(view);
  // One that is bound to its node is replaced nowhere else.
  const isAwaited = task.desiredState <= TaskState.COMPLETE && task.slot > 0;
  return TaskNodeLoss.create({
    lastHeardMs: status.lastHeardMs || status.sinceMs,
    replacedAfterMs: isAwaited ? replacedAfterMs(loss.specOf(task), status.state, loss.replaceAfterMs) : undefined,
  });
}

function imageOf(spec: TaskSpec | undefined): string {
  return spec?.container?.image ?? '';
}

const DESIRED_STATES: Readonly<Record<string, (state: TaskState) => boolean>> = {
  running: (state) => state === TaskState.RUNNING,
  accepted: (state) => state < TaskState.RUNNING,
  ready: (state) => state === TaskState.READY,
  // What tasks of jobs are to do.
  complete: (state) => state === TaskState.COMPLETE,
  shutdown: (state) => state >= TaskState.SHUTDOWN,
};

export function tasksMatching(view: StoreView, request: ListTasksRequest): readonly Task[] {
  const states = request.desiredStates.map((name) => {
    const test = Object.hasOwn(DESIRED_STATES, name) ? DESIRED_STATES[name] : undefined;
    if (test === undefined)
      throw new SwarmError({
        code: 'invalid',
        reason: 'bad-field',
        field: 'desired-state',
        message: `desired-state: ${JSON.stringify(name)} is not a state to filter by`,
        hint: 'use running, ready, accepted, complete or shutdown',
      });
    return test;
  });
  const nodes = new Set(request.nodeIds);
  return candidates(view, request).filter(
    (task) =>
      (nodes.size === 0 || nodes.has(task.nodeId)) &&
      anyPrefix(request.idPrefixes, task.id) &&
      (states.length === 0 || states.some((test) => test(task.desiredState))) &&
      anyContained(request.names, request.names.length === 0 ? '' : taskName(view, task)) &&
      allLabels(request.labels, request.labels.length === 0 ? {} : labelsOf(view, task)),
  );
}

/** As few tasks as the indexes allow. */
function candidates(view: StoreView, request: ListTasksRequest): readonly Task[] {
  if (request.serviceIds.length > 0) return request.serviceIds.flatMap((id) => [...view.tasksOfService(id)]);
  if (request.nodeIds.length > 0) return request.nodeIds.flatMap((id) => [...view.tasksOfNode(id)]);
  return [...view.all('task')];
}

function labelsOf(view: StoreView, task: Task): Readonly<Record<string, string>> {
  if (task.oneOff !== undefined) return view.revision('', task.revision)?.spec?.task?.container?.labels ?? {};
  return view.get('service', task.serviceId)?.spec?.labels ?? {};
}
