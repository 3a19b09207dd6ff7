/** Goal: no pair of settings stops healthy tasks between two heartbeats. Method: both sides of each limit, both commands. */
import assert from 'node:assert/strict';
import { Cluster, Service } from '#gen/swarm/v1/objects.ts';
import { ClusterSpec, DispatcherConfig, ServiceSpec, TaskSpec } from '#gen/swarm/v1/specs.ts';
import { checkHeartbeatPeriod, checkStopAfterDisconnect } from '#manager/control/disconnect-periods.ts';
import { MemoryView } from '#test/fixtures/memory-view.ts';

function viewWith(heartbeatPeriodMs: number | undefined, ...specs: readonly ServiceSpec[]): MemoryView {
  const dispatcher =
    heartbeatPeriodMs === undefined ? undefined : DispatcherConfig.create({ heartbeatPeriodMs, replaceAfterMs: 0 });
  const view = new MemoryView();
  view.commit([
    {
      kind: 'create',
      table: 'cluster',
      object: Cluster.create({ id: 'c', spec: ClusterSpec.create({ dispatcher }) }),
    },
    ...specs.map(
      (spec) => ({ kind: 'create', table: 'service', object: Service.create({ id: spec.name, spec }) }) as const,
    ),
  ]);
  return view;
}

const stopping = (name: string, stopAfterDisconnectMs?: number): ServiceSpec =>
  ServiceSpec.create({ name, task: TaskSpec.create({ stopAfterDisconnectMs }) });

describe('control: heartbeats and stop-after-disconnect', () => {
  it('a service needs three periods', () => {
    checkStopAfterDisconnect(viewWith(undefined), stopping('db', 10_000));
    checkStopAfterDisconnect(viewWith(10_000), stopping('db', 30_000));
    checkStopAfterDisconnect(viewWith(600_000), stopping('web'));
    assert.throws(() => checkStopAfterDisconnect(viewWith(10_000), stopping('db', 29_999)), {
      reason: 'bad-field',
      field: 'stop-after-disconnect',
      hint: /30s or more/,
    });
  });

  it('a period leaves every service that there is its three', () => {
    const view = viewWith(1000, stopping('web'), stopping('db', 30_000), stopping('queue', 60_000));
    checkHeartbeatPeriod(view, 10_000);
    checkHeartbeatPeriod(view, undefined);
    assert.throws(() => checkHeartbeatPeriod(view, 10_001), {
      reason: 'bad-field',
      field: 'dispatcher-heartbeat',
      message: /service db, .* 30s after/,
      hint: /up to 10s/,
    });
  });

  it('what stands already is in nobody’s way', () => {
    checkHeartbeatPeriod(viewWith(20_000, stopping('db', 30_000)), 20_000);
  });
});
