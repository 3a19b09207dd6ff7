/** Goal: a task goes only where the engine can do what it asks. Method: one spec for each need, with and without. */
import assert from 'node:assert/strict';
import { EngineDescription } from '#gen/swarm/v1/objects.ts';
import {
  BlockIo,
  BlockIoRate,
  ContainerSpec,
  ResourceRequirements,
  SecurityOptions,
  TaskSpec,
} from '#gen/swarm/v1/specs.ts';
import { engineNeeds } from '#manager/scheduler/engine-needs.ts';

const container = (part: Partial<ContainerSpec>): TaskSpec =>
  TaskSpec.create({ container: ContainerSpec.create(part) });
const security = (part: Partial<SecurityOptions>): TaskSpec => container({ security: SecurityOptions.create(part) });
const resources = (part: Partial<ResourceRequirements>): TaskSpec =>
  TaskSpec.create({ container: ContainerSpec.create(), resources: ResourceRequirements.create(part) });
const disk = { path: '/dev/sda', rate: 1 };

const NEEDS: readonly (readonly [TaskSpec, capability: string, what: RegExp])[] = [
  [security({ apparmor: 'mine' }), 'apparmor', /AppArmor/],
  [security({ selinuxLabels: { type: 'mine_t' } }), 'selinux', /SELinux/],
  [resources({ memorySwappiness: 0 }), 'memory-swappiness', /swappiness/],
  [container({ oomKillDisable: true }), 'oom-kill-disable', /OOM/],
  [resources({ blockIo: BlockIo.create({ weight: 100 }) }), 'block-io-weight', /weights/],
  [resources({ blockIo: BlockIo.create({ writeBytes: [BlockIoRate.create(disk)] }) }), 'block-io-rate', /limits/],
];

describe('scheduler: what engines must have', () => {
  for (const [task, capability, what] of NEEDS)
    it(`${capability}`, () => {
      const needs = engineNeeds(task);
      assert.deepEqual(needs.length, 1);
      assert.match(needs[0]?.what ?? '', what);
      assert.equal(needs[0]?.fits(EngineDescription.create()), false);
      assert.equal(needs[0]?.fits(EngineDescription.create({ capabilities: ['swap', capability] })), true);
    });

  it('a runtime by its name', () => {
    const [need] = engineNeeds(container({ runtime: 'runc' }));
    assert.equal(need?.what, 'OCI runtime runc');
    assert.equal(need.fits(EngineDescription.create({ runtimes: { crun: '1.8' } })), false);
    assert.equal(need.fits(EngineDescription.create({ runtimes: { runc: '1.1' } })), true);
    assert.equal(engineNeeds(container({ runtime: 'constructor' }))[0]?.fits(EngineDescription.create()), false);
  });

  it('is nothing for a plain task, and for one that is not confined', () => {
    assert.deepEqual(engineNeeds(TaskSpec.create()), []);
    assert.deepEqual(engineNeeds(security({ apparmor: 'unconfined', selinuxLabels: { disable: '' } })), []);
  });
});
