/** A swarm with nothing in it that takes stacks. */
import { Cluster } from '#gen/swarm/v1/objects.ts';
import { ClusterSpec } from '#gen/swarm/v1/specs.ts';
import type { ControlApi } from '#manager/control/index.ts';
import { SERVICES_LEVEL } from '#manager/scheduler/index.ts';
import { memoryApi } from '#test/fixtures/memory-api.ts';
import { MemoryView } from '#test/fixtures/memory-view.ts';

export function stackFixture(): ControlApi {
  const view = new MemoryView();
  const cluster = Cluster.create({ id: 'c', spec: ClusterSpec.create(), featureLevel: SERVICES_LEVEL });
  view.commit([{ kind: 'create', table: 'cluster', object: cluster }]);
  return memoryApi(view);
}
