/** Goal: what a service leaves open has Swarm's value. Method: specs, and what is made of them. */
import assert from 'node:assert/strict';
import { ContainerSpec, EndpointSpec, NetworkAttachmentSpec, ServiceSpec, TaskSpec } from '#gen/swarm/v1/specs.ts';
import { stopMs } from '#manager/orchestrator/service-settings.ts';

describe('orchestrator: settings of a service', () => {
  it('a task may take its grace period to stop, and what its connections have before', () => {
    const spec = (drainMs: number | undefined, stopGracePeriodMs?: number, networks: readonly string[] = ['front']) =>
      ServiceSpec.create({
        task: TaskSpec.create({
          container: ContainerSpec.create({ stopGracePeriodMs }),
          networks: networks.map((network) => NetworkAttachmentSpec.create({ network })),
        }),
        endpoint: EndpointSpec.create({ drainMs }),
      });
    assert.equal(stopMs(undefined), 10_000);
    assert.equal(stopMs(spec(undefined, undefined, [])), 10_000, 'nobody has a connection to it');
    assert.equal(stopMs(spec(undefined)), 20_000);
    assert.equal(stopMs(spec(undefined, 3000)), 6000);
    assert.equal(stopMs(spec(60_000, 3000)), 63_000);
    assert.equal(stopMs(spec(0, 3000)), 3000);
  });
});
