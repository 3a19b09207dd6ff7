/** A swarm with nothing in it that takes stacks. */
import { silentLogger } from '#common/log.ts';
import { SeededRandom } from '#common/random.ts';
import { Cluster } from '#gen/swarm/v1/objects.ts';
import { ClusterSpec } from '#gen/swarm/v1/specs.ts';
import { ControlApi } from '#manager/control/index.ts';
import { SERVICES_LEVEL } from '#manager/scheduler/index.ts';
import { MemoryView } from '#test/fixtures/memory-view.ts';

export function stackFixture(): ControlApi {
  const view = new MemoryView();
  const cluster = Cluster.create({ id: 'c', spec: ClusterSpec.create(), featureLevel: SERVICES_LEVEL });
  view.commit([{ kind: 'create', table: 'cluster', object: cluster }]);
  return new ControlApi({
    store: { view: () => view, decide: async (decide) => view.commit(decide(view)) },
    selfNodeId: () => 'self',
    members: () => [],
    random: new SeededRandom(1),
    images: { resolve: async () => undefined },
    tokens: () => 'token',
    now: () => 1_000,
    logger: silentLogger,
  });
}
