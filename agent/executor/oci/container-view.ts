/** What a container's record says of its task. */
import type { NetworkAttachment as AttachedTask, ExpectedPorts } from '#agent/network/index.ts';
import type { ContainerExit, ContainerView } from '#agent/runtime/index.ts';
import type { PreparedTask, TaskExit } from '#agent/tasks/index.ts';
import { ContainerStatus, NetworkAttachment } from '#gen/swarm/v1/objects.ts';
import { portConfigs } from './map-assignment.ts';

/** In the container's record: the named volumes that it has mounted. */
export const VOLUMES_LABEL = 'volumes';
/** The ports that others expect it to listen on. */
export const PORTS_LABEL = 'ports';
export const SERVICE_LABEL = 'service';

export function prepared(attached: AttachedTask): PreparedTask {
  const byNetwork = Map.groupBy(attached.addresses, (one) => one.network);
  return {
    networks: [...byNetwork].map(([network, addresses]) =>
      NetworkAttachment.create({ network, addresses: addresses.map((one) => one.address) }),
    ),
    ports: portConfigs(attached.ports),
  };
}

export function statusOf(view: ContainerView): ContainerStatus {
  const { state, id } = view.record;
  const pid = state.phase === 'running' || state.phase === 'created' ? state.init.pid : 0;
  return ContainerStatus.create({ containerId: id, pid });
}

export function exitOf(taskId: string, exit: ContainerExit): TaskExit {
  const error = exit.error ?? (exit.code === 0 ? undefined : `task: non-zero exit (${exit.code})`);
  return {
    container: ContainerStatus.create({ containerId: taskId, exitCode: exit.code, oomKilled: exit.oomKilled }),
    error: exit.error === undefined ? error : `${exit.error} (exit code ${exit.code})`,
  };
}

/** A container that is stuck may write to them still. */
export function holdsVolumes({ record, stuck }: ContainerView): boolean {
  return record.state.phase !== 'exited' || stuck;
}

export function volumesOf(view: ContainerView): readonly string[] {
  try {
    const names: unknown = JSON.parse(view.record.labels[VOLUMES_LABEL] ?? '[]');
    return Array.isArray(names) ? names.filter((name) => typeof name === 'string') : [];
  } catch {
    return [];
  }
}

export function portsOf(view: ContainerView): ExpectedPorts {
  // Written when the container was created. A container of an earlier release has none.
  const text = view.record.labels[PORTS_LABEL];
  return text === undefined ? { published: [], exposed: [] } : (JSON.parse(text) as ExpectedPorts);
}
