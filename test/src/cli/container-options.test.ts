/**
 * Goal: what `docker run` has and Docker's services have not goes into the spec, comes out of inspect, and can be changed
 * piece by piece. Method: the command line on the real control API; the spec and both forms of inspect are read.
 */
import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { GetServiceRequest } from '#gen/swarm/v1/control.ts';
import { GetInfoResponse, LocalNodeState, NodeService } from '#gen/swarm/v1/node.ts';
import { Cluster } from '#gen/swarm/v1/objects.ts';
import {
  ClusterPolicy,
  ClusterSpec,
  type ContainerSpec,
  NodeRole,
  type ResourceRequirements,
  SeccompMode,
} from '#gen/swarm/v1/specs.ts';
import type { ControlApi } from '#manager/control/index.ts';
import type { SwarmApi } from '#src/cli/api.ts';
import { type CliResult, fakeApi, NOW_MS, runCli, scriptedClient } from './support/run-cli.ts';
import { CLUSTER, swarmFixture } from './swarm-fixture.ts';

const PERMIT = ['privileged', 'devices', 'host-namespaces', 'unconfined'].map((what) => `--allow-${what}=true`);
const IMAGE = 'busybox:1@sha256:'.concat('a'.repeat(64));

class Swarm {
  readonly #control: ControlApi = swarmFixture(NOW_MS);
  readonly #api: SwarmApi = fakeApi(this.#control);

  run(...words: readonly string[]): Promise<CliResult> {
    return runCli(words, { api: this.#api });
  }

  async ok(...words: readonly string[]): Promise<string> {
    const { exitCode, stdout, stderr } = await this.run(...words);
    assert.equal(exitCode, 0, `${words.join(' ')}: ${stderr}`);
    return stdout;
  }

  async permit(): Promise<void> {
    await this.ok('update', ...PERMIT);
  }

  create(...flags: readonly string[]): Promise<string> {
    return this.ok('service', 'create', '-d', '--no-resolve-image', '--name', 'it', ...flags, IMAGE);
  }

  update(...flags: readonly string[]): Promise<string> {
    return this.ok('service', 'update', '-d', '--no-resolve-image', ...flags, 'it');
  }

  async spec(): Promise<{ readonly container: ContainerSpec; readonly resources: ResourceRequirements }> {
    const request = GetServiceRequest.create({ reference: 'it' });
    const { service } = await this.#control.getService({ author: 'test' }, request);
    const { container, resources } = service?.spec?.task ?? {};
    assert.ok(container !== undefined && resources !== undefined);
    return { container, resources };
  }

  async inspect(): Promise<Record<string, Record<string, unknown>>> {
    const text = await this.ok('service', 'inspect', 'it');
    const [shown] = JSON.parse(text) as { Spec: { TaskTemplate: Record<string, Record<string, unknown>> } }[];
    assert.ok(shown !== undefined);
    return shown.Spec.TaskTemplate;
  }
}

describe('cli: options of containers', () => {
  it('devices, namespaces and names', async () => {
    const swarm = new Swarm();
    await swarm.permit();
    const words =
      '--privileged --device /dev/fuse --device /dev/snd:/dev/sound:rw --device-cgroup-rule|c 189:* rmw|--shm-size 1g --pid host --ipc host --uts host --userns host --cgroupns host --runtime runc --annotation org.example.team=blue --oom-kill-disable --limit-memory 64m';
    await swarm.create(...split(words.replace('--shm-size 1g ', '')));
    const { container } = await swarm.spec();
    assert.deepEqual(
      container.devices.map((one) => [one.pathOnHost, one.pathInContainer, one.permissions]),
      [
        ['/dev/fuse', '', ''],
        ['/dev/snd', '/dev/sound', 'rw'],
      ],
    );
    assert.deepEqual(container.deviceCgroupRules, ['c 189:* rmw']);
    const { pidMode, ipcMode, utsMode, usernsMode, cgroupnsMode } = container;
    assert.deepEqual(new Set([pidMode, ipcMode, utsMode, usernsMode, cgroupnsMode]), new Set(['host']));
    assert.deepEqual([container.privileged, container.runtime, container.oomKillDisable], [true, 'runc', true]);
    const { ContainerSpec: shown } = await swarm.inspect();
    assert.deepEqual(shown?.['Devices'], [
      { PathOnHost: '/dev/fuse', PathInContainer: '/dev/fuse', CgroupPermissions: 'rwm' },
      { PathOnHost: '/dev/snd', PathInContainer: '/dev/sound', CgroupPermissions: 'rw' },
    ]);
    assert.deepEqual(
      [shown?.['Privileged'], shown?.['PidMode'], shown?.['Runtime'], shown?.['Annotations']],
      [true, 'host', 'runc', { 'org.example.team': 'blue' }],
    );
    const pretty = await swarm.ok('service', 'inspect', '--pretty', 'it');
    assert.match(pretty, /^ Privileged: true\n Devices: \/dev\/fuse:\/dev\/fuse:rwm, \/dev\/snd:\/dev\/sound:rw$/m);
    assert.match(pretty, /^ PID Mode: host$/m);

    const changes =
      '--privileged=false --device-rm /dev/sound --device-add /dev/kvm:r --device-cgroup-rule-rm|c 189:* rmw|--device-cgroup-rule-add|b 7:* r|--pid= --ipc private --uts= --shm-size 64m --userns= --cgroupns private --domainname example.org --runtime= --annotation-rm org.example.team --annotation-add a=b --oom-kill-disable=false';
    await swarm.update(...split(changes));
    const after = (await swarm.spec()).container;
    assert.deepEqual(
      after.devices.map((one) => [one.pathOnHost, one.permissions]),
      [
        ['/dev/fuse', ''],
        ['/dev/kvm', 'r'],
      ],
    );
    assert.deepEqual(after.deviceCgroupRules, ['b 7:* r']);
    assert.deepEqual([after.pidMode, after.ipcMode, after.cgroupnsMode, after.runtime], ['', 'private', 'private', '']);
    assert.deepEqual([after.privileged, after.shmSizeBytes, after.domainname], [false, 64 << 20, 'example.org']);
    assert.deepEqual([after.annotations, after.oomKillDisable], [{ a: 'b' }, false]);
  });

  it('security options: profiles are read here, and taken away by their names', async () => {
    const swarm = new Swarm();
    await swarm.permit();
    const directory = await mkdtemp(join(tmpdir(), 'starling-profile-'));
    try {
      const path = join(directory, 'profile.json');
      await writeFile(path, '{ "defaultAction": "SCMP_ACT_ALLOW",\n "syscalls": [] }');
      const options = [
        `seccomp=${path}`,
        'apparmor=mine',
        'label=type:mine_t',
        'label=level:s0:c1',
        'no-new-privileges',
      ];
      await swarm.create(...options.flatMap((option) => ['--security-opt', option]));
    } finally {
      await rm(directory, { recursive: true, force: true });
    }
    const { security, noNewPrivileges } = (await swarm.spec()).container;
    assert.equal(security?.seccomp, SeccompMode.CUSTOM);
    assert.equal(security.seccompProfile, '{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[]}');
    assert.deepEqual([security.apparmor, noNewPrivileges], ['mine', true]);
    assert.deepEqual(security.selinuxLabels, { type: 'mine_t', level: 's0:c1' });
    const { ContainerSpec: shown } = await swarm.inspect();
    const profile = Buffer.from(security.seccompProfile).toString('base64');
    assert.deepEqual(shown?.['Privileges'], {
      CredentialSpec: null,
      SELinuxContext: { Disable: false, User: '', Role: '', Type: 'mine_t', Level: 's0:c1' },
      Seccomp: { Mode: 'custom', Profile: profile },
      AppArmor: { Mode: 'profile', Profile: 'mine' },
      NoNewPrivileges: true,
    });
    const removals = ['seccomp', 'apparmor', 'label=type', 'no-new-privileges'];
    await swarm.update(
      ...removals.flatMap((name) => ['--security-opt-rm', name]),
      '--security-opt-add',
      'systempaths=unconfined',
    );
    const after = (await swarm.spec()).container;
    assert.deepEqual([after.security?.seccomp, after.security?.apparmor, after.noNewPrivileges], [0, '', false]);
    assert.deepEqual(
      [after.security?.selinuxLabels, after.security?.systemPathsUnconfined],
      [{ level: 's0:c1' }, true],
    );
    await swarm.update('--security-opt-rm', 'label', '--security-opt-rm', 'systempaths');
    assert.equal((await swarm.spec()).container.security, undefined, 'nothing is left of it');
  });

  it('shares of memory, processors and disks', async () => {
    const swarm = new Swarm();
    const words =
      '--limit-memory 64m --memory-swap 128m --memory-swappiness 10 --memory-soft-limit 32m --cpu-shares 512 --cpuset-cpus 0-1 --cpuset-mems 0 --blkio-weight 300 --blkio-weight-device /dev/sda:200 --device-read-bps /dev/sda:1mb --device-write-bps /dev/sda:2mb --device-read-iops /dev/sda:100 --device-write-iops /dev/sdb:200';
    await swarm.create(...split(words));
    const { Resources: shown } = await swarm.inspect();
    const expected = {
      SwapBytes: 128 << 20,
      MemorySwappiness: 10,
      MemorySoftLimit: 32 << 20,
      CpuShares: 512,
      CpusetCpus: '0-1',
      CpusetMems: '0',
      BlkioWeight: 300,
      BlkioWeightDevice: [{ Path: '/dev/sda', Weight: 200 }],
      BlkioDeviceReadBps: [{ Path: '/dev/sda', Rate: 1 << 20 }],
      BlkioDeviceWriteBps: [{ Path: '/dev/sda', Rate: 2 << 20 }],
      BlkioDeviceReadIOps: [{ Path: '/dev/sda', Rate: 100 }],
      BlkioDeviceWriteIOps: [{ Path: '/dev/sdb', Rate: 200 }],
    };
    for (const [key, value] of Object.entries(expected)) assert.deepEqual(shown?.[key], value, key);
    assert.match(
      await swarm.ok('service', 'inspect', '--pretty', 'it'),
      /^ Memory Swappiness: 10\n Memory Soft Limit: 32MiB$/m,
    );
    const changes =
      '--memory-swappiness -1 --cpuset-cpus= --blkio-weight 0 --blkio-weight-device-rm /dev/sda --device-read-bps-add /dev/sdc:1kb --device-read-bps-rm /dev/sda --device-write-bps-rm /dev/sda --device-read-iops-rm /dev/sda --device-write-iops-add /dev/sdb:9';
    await swarm.update(...split(changes));
    const { resources } = await swarm.spec();
    assert.deepEqual([resources.memorySwappiness, resources.cpusetCpus, resources.cpuShares], [undefined, '', 512]);
    assert.deepEqual(resources.blockIo?.readBytes, [{ path: '/dev/sdc', rate: 1024 }]);
    assert.deepEqual(resources.blockIo?.writeOperations, [{ path: '/dev/sdb', rate: 9 }]);
    assert.deepEqual([resources.blockIo?.writeBytes, resources.blockIo?.deviceWeights], [[], []]);
    await swarm.update('--device-read-bps-rm', '/dev/sdc', '--device-write-iops-rm', '/dev/sdb');
    assert.equal((await swarm.spec()).resources.blockIo, undefined, 'nothing is left of it');
  });

  it('are refused where the flag says nothing that could be meant', async () => {
    const swarm = new Swarm();
    for (const words of [
      ['--device', 'fuse'],
      ['--device', '/dev/a:/dev/b:rwx'],
      ['--device', '/dev/a:/dev/b:rw:x'],
      ['--device-cgroup-rule', 'x 1:2 r'],
      ['--security-opt', 'label=colour:red'],
      ['--security-opt', 'seccomp=/no/such/file'],
      ['--pid', 'container:other'],
      ['--ipc', 'sometimes'],
      ['--device-read-bps', '/dev/sda'],
      ['--device-read-iops', '/dev/sda:0'],
      ['--blkio-weight-device', '/dev/sda:5000'],
      ['--shm-size', 'large'],
    ]) {
      const { exitCode, stderr } = await swarm.run('service', 'create', ...words, IMAGE);
      assert.equal(exitCode, 125, words.join(' '));
      assert.match(stderr, new RegExp(`for "${words[0]}" flag: .*\\n[^]*Hint: `), stderr);
    }
  });

  it('need the policy of the swarm, which `swarm update` changes and names what it no longer allows', async () => {
    const swarm = new Swarm();
    const refused = await swarm.run('service', 'create', '-d', '--privileged', '--name', 'it', IMAGE);
    assert.equal(refused.exitCode, 1);
    assert.match(
      refused.stderr,
      /^Error response from daemon: privileged: the policy of this swarm does not allow it\nHint: .*swarm update --allow-privileged=true$/m,
    );
    await swarm.permit();
    await swarm.create('--privileged');
    const tightened = await swarm.run('update', '--allow-privileged=false', '--require-no-new-privileges');
    assert.match(tightened.stderr, /run on until they are changed: it \(privileged\)/);
    await swarm.ok('service', 'scale', '-d', 'it=3');
    assert.match(
      (await swarm.run('service', 'update', '-d', '--image', 'other:1', '--no-resolve-image', 'it')).stderr,
      /allow-privileged/,
    );
    await swarm.update('--privileged=false');
    assert.equal((await swarm.spec()).container.noNewPrivileges, true);
  });

  it('are in what a manager says of the swarm', async () => {
    const cluster = Cluster.create({
      ...CLUSTER,
      spec: ClusterSpec.create({ policy: ClusterPolicy.create({ allowDevices: true }) }),
    });
    const answer = GetInfoResponse.create({ state: LocalNodeState.ACTIVE, role: NodeRole.MANAGER, cluster });
    const node = scriptedClient(NodeService, { getInfo: async () => answer });
    const { stdout } = await runCli(['info'], { api: { node } });
    assert.match(stdout, /^ {2}Policy:\n {3}Services May Be: devices\n {3}No New Privileges: as declared$/m);
    const json = await runCli(['info', '--format', '{{json .Swarm.Cluster.Spec.Policy}}'], { api: { node } });
    assert.match(json.stdout, /"AllowPrivileged":false,"AllowDevices":true/);
  });
});

/** At blanks, but for what stands between bars. */
function split(text: string): readonly string[] {
  return text
    .split('|')
    .flatMap((part, index) => (index % 2 === 1 ? [part] : part.split(' ').filter((word) => word !== '')));
}
