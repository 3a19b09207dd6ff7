/** What a manager elsewhere tells of itself and the swarm: in the place of the daemon's own `GetInfo`. */

import { GetInfoResponse, LocalNodeState } from '#gen/swarm/v1/node.ts';
import { type Node, TaskState } from '#gen/swarm/v1/objects.ts';
import type { SwarmClient } from '../../client/swarm-client.ts';

export async function managerInfo({ control }: Pick<SwarmClient, 'control'>): Promise<GetInfoResponse> {
  const [{ node }, { cluster }, nodes] = await Promise.all([
    control.getNode({ reference: 'self' }),
    control.getCluster({}),
    collectNodes(control),
  ]);
  const states: TaskState[] = [];
  for await (const { tasks } of control.listTasks({ nodeIds: [node?.id ?? ''] }))
    for (const { task } of tasks) states.push(task?.status?.state ?? TaskState.NEW);
  const managers = nodes.flatMap(({ id, managerStatus }) =>
    managerStatus === undefined ? [] : [{ nodeId: id, address: managerStatus.address }],
  );
  return GetInfoResponse.create({
    version: node?.description?.engine?.version ?? '',
    featureLevel: node?.description?.featureLevel ?? 0,
    description: node?.description,
    state: LocalNodeState.ACTIVE,
    nodeId: node?.id ?? '',
    clusterId: cluster?.id ?? '',
    role: node?.role ?? 0,
    advertiseAddress: node?.managerStatus?.address ?? '',
    managers,
    connected: true,
    nodeCount: nodes.length,
    managerCount: managers.length,
    cluster,
    containersRunning: states.filter((state) => state === TaskState.RUNNING).length,
    containersTotal: states.length,
  });
}

export async function collectNodes(control: SwarmClient['control']): Promise<readonly Node[]> {
  const all: Node[] = [];
  for await (const { nodes } of control.listNodes({})) all.push(...nodes);
  return all;
}
