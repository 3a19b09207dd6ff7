/** A service `web` with three revisions, of which the second has failed, behind the real API. */
import assert from 'node:assert/strict';
import { silentLogger } from '#common/log.ts';
import { SeededRandom } from '#common/random.ts';
import { Cluster, Revision, RevisionOutcome, Service, type Task, UpdateStatus } from '#gen/swarm/v1/objects.ts';
import { ContainerSpec, ServiceSpec, TaskSpec } from '#gen/swarm/v1/specs.ts';
import { ControlApi } from '#manager/control/index.ts';
import type { SwarmApi } from '#src/cli/api.ts';
import { MemoryView } from '#test/fixtures/memory-view.ts';
import { fakeApi, NOW_MS } from './run-cli.ts';

export interface RolloutFixture {
  readonly api: SwarmApi;
  has(name: string): boolean;
  service(name: string): Service;
  spec(name: string): ServiceSpec;
}

const OUTCOMES = [RevisionOutcome.HEALTHY, RevisionOutcome.FAILED, RevisionOutcome.UNKNOWN];

/** `status`: of the update to revision 3, where there is one. */
export function rolloutFixture(status?: Partial<UpdateStatus>, tasks: readonly Task[] = []): RolloutFixture {
  const view = new MemoryView();
  const specOf = (number: number): ServiceSpec =>
    ServiceSpec.create({
      name: 'web',
      mode: { kind: 'replicated', value: { replicas: 2 } },
      task: TaskSpec.create({ container: ContainerSpec.create({ image: `web:${number}` }) }),
    });
  const updateStatus = status && UpdateStatus.create({ revision: 3, startedAtMs: NOW_MS, ...status });
  view.commit([
    { kind: 'create', table: 'cluster', object: Cluster.create({ id: 'c', featureLevel: 4 }) },
    {
      kind: 'create',
      table: 'service',
      object: Service.create({ id: 'web-id', revision: 3, spec: specOf(3), updateStatus }),
    },
    ...OUTCOMES.map((outcome, place) => {
      const number = place + 1;
      const object = Revision.create({
        id: `r${number}`,
        serviceId: 'web-id',
        number,
        spec: specOf(number),
        createdAtMs: NOW_MS - 60_000,
        createdBy: 'local',
        outcome,
      });
      return { kind: 'create', table: 'revision', object } as const;
    }),
    ...tasks.map((object) => ({ kind: 'create', table: 'task', object }) as const),
  ]);
  const control = new ControlApi({
    store: { view: () => view, decide: async (decide) => view.commit(decide(view)) },
    selfNodeId: () => 'n1',
    members: () => [],
    random: new SeededRandom(1),
    images: { resolve: async () => undefined },
    tokens: () => 'SWMTKN-1-worker',
    now: () => NOW_MS,
    logger: silentLogger,
  });
  const service = (name: string): Service => {
    const found = view.serviceByName(name);
    assert.ok(found, name);
    return found;
  };
  return {
    api: fakeApi(control),
    has: (name) => view.serviceByName(name) !== undefined,
    service,
    spec: (name) => {
      const { spec } = service(name);
      assert.ok(spec);
      return spec;
    },
  };
}
