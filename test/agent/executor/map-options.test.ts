/** Goal: what a service says about its containers reaches the runtime unchanged. Method: one spec with all of it, and plain ones. */
import assert from 'node:assert/strict';
import { mapOptions, mapResources } from '#agent/executor/oci/map-options.ts';
import { EMPTY_CONTAINER_SPEC } from '#agent/runtime/index.ts';
import { SwarmError } from '#common/errors.ts';
import {
  BlockIo,
  ContainerSpec,
  DeviceMapping,
  ResourceRequirements,
  SeccompMode,
  SecurityOptions,
} from '#gen/swarm/v1/specs.ts';

const PROFILE = { defaultAction: 'SCMP_ACT_ALLOW', syscalls: [] };

describe('executor: options', () => {
  it('are passed on, in the words of the runtime', () => {
    const container = ContainerSpec.create({
      privileged: true,
      devices: [
        DeviceMapping.create({ pathOnHost: '/dev/fuse' }),
        DeviceMapping.create({ pathOnHost: '/dev/a', pathInContainer: '/dev/b', permissions: 'wr' }),
      ],
      deviceCgroupRules: ['c 189:* rmw'],
      security: SecurityOptions.create({
        seccomp: SeccompMode.CUSTOM,
        seccompProfile: JSON.stringify(PROFILE),
        apparmor: 'mine',
        selinuxLabels: { type: 'mine_t' },
        systemPathsUnconfined: true,
      }),
      shmSizeBytes: 1 << 20,
      pidMode: 'host',
      ipcMode: 'none',
      utsMode: 'host',
      cgroupnsMode: 'private',
      domainname: 'example.org',
      runtime: 'runc',
      annotations: { a: 'b' },
    });
    assert.deepEqual(mapOptions(container), {
      privileged: true,
      devices: [
        { source: '/dev/fuse', target: '/dev/fuse', access: 'rwm', optional: false },
        { source: '/dev/a', target: '/dev/b', access: 'rw', optional: false },
      ],
      deviceRules: [{ type: 'c', major: 189, minor: undefined, access: 'rwm' }],
      namespaces: { pid: 'host', ipc: 'none', uts: 'host', cgroup: 'own' },
      seccomp: PROFILE,
      appArmorProfile: 'mine',
      seLinuxLabels: { type: 'mine_t' },
      systemPathsUnconfined: true,
      shmBytes: 1 << 20,
      domainName: 'example.org',
      annotations: { a: 'b' },
      runtime: 'runc',
    });
  });

  it('are the usual ones for a plain container', () => {
    const mapped = mapOptions(ContainerSpec.create());
    for (const [key, value] of Object.entries(mapped))
      assert.deepEqual(value, EMPTY_CONTAINER_SPEC[key as keyof typeof mapped], key);
    assert.deepEqual(mapResources(undefined, ContainerSpec.create()), EMPTY_CONTAINER_SPEC.resources);
  });

  it('share memory, processors and disks as they are told to', () => {
    const resources = ResourceRequirements.create({
      memorySwappiness: 0,
      memorySoftBytes: 7,
      cpuShares: 512,
      cpusetCpus: '0-1',
      cpusetMems: '0',
      blockIo: BlockIo.create({ weight: 100, readBytes: [{ path: '/dev/sda', rate: 9 }] }),
    });
    const mapped = mapResources(resources, ContainerSpec.create({ oomKillDisable: true }));
    assert.deepEqual([mapped.swappiness, mapped.memorySoftBytes, mapped.oomKillDisable], [0, 7, true]);
    assert.deepEqual([mapped.cpuShares, mapped.cpuset, mapped.cpusetMemories], [512, '0-1', '0']);
    assert.equal(mapped.blockIo?.weight, 100);
    assert.deepEqual(mapped.blockIo.readBytes, [{ path: '/dev/sda', value: 9 }]);
  });

  it('are refused by name where a manager let through what cannot be', () => {
    for (const [container, field] of [
      [{ pidMode: 'container:x' }, 'pid'],
      [{ deviceCgroupRules: ['everything'] }, 'device-cgroup-rule'],
      [{ security: SecurityOptions.create({ seccomp: SeccompMode.CUSTOM, seccompProfile: '{' }) }, 'security-opt'],
    ] as const)
      assert.throws(
        () => mapOptions(ContainerSpec.create(container)),
        (error) => error instanceof SwarmError && error.field === field,
      );
  });
});
