import { type Task, TaskState, TaskStatus } from '#gen/swarm/v1/objects.ts';
import type { PortConfig } from '#gen/swarm/v1/specs.ts';
import type { ChangeGroup } from '#manager/store/index.ts';
import type { SchedulerConfig } from './config.ts';
import type { NodeRecord } from './node-record.ts';
import type { PlacementRequest } from './placement-request.ts';

/** The task with its node, ports and generic resources, as it is written. */
export function assignedTask(
  task: Task,
  record: NodeRecord,
  request: PlacementRequest,
  config: SchedulerConfig,
  nowMs: number,
): Task {
  const status = statusWith(task, TaskState.ASSIGNED, 'scheduler assigned task to node', '', nowMs);
  const hostPorts = request.ports.length === 0 ? task.hostPorts : choosePorts(request.ports, record, config);
  const { generic } = request;
  const assignedGeneric =
    generic.length === 0 ? task.assignedGeneric : record.generic.choose(record.genericTotal, generic);
  return { ...task, nodeId: record.id, status, hostPorts, assignedGeneric };
}

/** The task with the reason why it waits. */
export function waitingTask(task: Task, reason: string, nowMs: number): Task {
  return { ...task, status: statusWith(task, TaskState.PENDING, 'pending task scheduling', reason, nowMs) };
}

/** A change of one task, committed or refused alone. */
export function taskUpdate(task: Task): ChangeGroup {
  return [{ kind: 'update', table: 'task', object: task }];
}

function statusWith(task: Task, state: TaskState, message: string, error: string, nowMs: number): TaskStatus {
  return { ...(task.status ?? TaskStatus.create()), state, timestampMs: nowMs, message, error };
}

/** Fixed ports as they are, open ones with the lowest free number. The filter has made sure that there is room. */
function choosePorts(ports: readonly PortConfig[], record: NodeRecord, config: SchedulerConfig): readonly PortConfig[] {
  const chosen: PortConfig[] = ports.filter((port) => port.publishedPort > 0);
  for (const port of ports) {
    if (port.publishedPort > 0) continue;
    const number = record.ports.firstFree(port, config.openPortFirst, config.openPortLast, chosen);
    // Without one left the agent says so when it opens the port; the filter makes this all but impossible.
    if (number !== undefined) chosen.push({ ...port, publishedPort: number });
  }
  return chosen;
}
