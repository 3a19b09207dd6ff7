/**
 * Goal: a container gets the devices, namespaces, profiles and shares that its service names, and no others do.
 * Method: look from inside real containers, beside one that asks for nothing; what this machine's kernel has not is
 * refused with the reason.
 */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir, readFile, readlink } from 'node:fs/promises';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { type ContainerSpec, EMPTY_CONTAINER_SPEC, findProgram } from '#agent/runtime/index.ts';
import { SwarmError } from '#common/errors.ts';
import { skipBecause } from '#test/support/skip-because.ts';
import { describeInside } from './inside.ts';
import { TestRuntime } from './test-runtime.ts';

const run = promisify(execFile);
const OWN = EMPTY_CONTAINER_SPEC.namespaces;
const NO_LIMITS = EMPTY_CONTAINER_SPEC.resources;
/** A device that no container has by itself, whose opening does nothing. */
const FUSE = ['10', '229'] as const;

describeInside(import.meta.filename, 'runtime: options', () => {
  let under: TestRuntime;

  before(async () => {
    under = await TestRuntime.make();
  });
  after(() => under.remove());

  async function shell(script: string, spec: Partial<ContainerSpec> = {}): Promise<string> {
    // One pipe for both, so that lines keep their order.
    const ended = await under.shell(`exec 2>&1; ${script}`, { spec });
    await under.runtime.remove(ended.id);
    return ended.output.trim();
  }

  async function refused(spec: Partial<ContainerSpec>): Promise<SwarmError> {
    try {
      await under.shell('true', { spec });
    } catch (error) {
      assert.ok(error instanceof SwarmError, String(error));
      return error;
    }
    assert.fail('it was not refused');
  }

  async function fakeDevice(name: string): Promise<string> {
    const path = join(under.directory, name);
    await run('mknod', [path, 'c', ...FUSE]);
    return path;
  }

  describe('devices', () => {
    it('gives one device under the name and with the access that are asked for', async () => {
      const source = await fakeDevice('one');
      const device = { source, target: '/dev/mine', access: 'r', optional: false };
      const script =
        'ls -l /dev/mine | cut -c1; (exec 3</dev/mine) && echo read; (exec 3>/dev/mine) || echo not written';
      assert.match(await shell(script, { devices: [device] }), /^c\nread\n.*not permitted\nnot written$/);
    });

    it('denies to make and open one that was not given', async () => {
      const output = await shell(`mknod /tmp/d c ${FUSE.join(' ')}; (exec 3</tmp/d) || echo denied`);
      assert.match(output, /not permitted\ndenied$/);
    });

    it('gives all devices of a directory, below the target', async () => {
      await mkdir(join(under.directory, 'many/deep'), { recursive: true });
      await fakeDevice('many/a');
      await fakeDevice('many/deep/b');
      const device = { source: join(under.directory, 'many'), target: '/dev/many', access: 'rwm', optional: false };
      assert.equal(await shell('cd /dev/many && find . -type c | sort', { devices: [device] }), './a\n./deep/b');
    });

    it('opens what a rule of the control group allows', async () => {
      const rule = { type: 'c', major: 10, minor: undefined, access: 'rwm' } as const;
      const script = `mknod /tmp/d c ${FUSE.join(' ')} && (exec 3</tmp/d) && echo opened`;
      assert.equal(await shell(script, { deviceRules: [rule] }), 'opened');
    });

    it('refuses what is no device, and what is not there unless it may be missing', async () => {
      const device = { target: '/dev/x', access: 'rwm', optional: false };
      assert.match((await refused({ devices: [{ ...device, source: '/etc/passwd' }] })).message, /is no device/);
      assert.match((await refused({ devices: [{ ...device, source: '/dev/no-such' }] })).message, /does not exist/);
      assert.equal(
        await shell('echo ran', { devices: [{ ...device, source: '/dev/no-such', optional: true }] }),
        'ran',
      );
    });
  });

  describe('privileged', () => {
    it('has every capability and device of the machine, and nothing masked, read-only or filtered', async () => {
      const script = `grep -E 'CapEff|Seccomp:' /proc/self/status; (exec 3</dev/fuse) && echo fuse
        grep -c '^proc /proc/[a-z-]* ' /proc/mounts; touch /proc/sys/kernel/domainname && echo writable`;
      const own = await readFile('/proc/self/status', 'utf8');
      const output = await shell(script, { privileged: true });
      assert.match(output, new RegExp(`CapEff:\\t${/CapBnd:\t(\w+)/.exec(own)?.[1]}\nSeccomp:\t0\nfuse\n0\nwritable`));
    });

    it('is what nobody is who does not ask for it', async () => {
      const output = await shell(
        "grep -E 'Seccomp:' /proc/self/status; ls /dev/fuse; touch /proc/sys/kernel/domainname",
      );
      assert.match(output, /Seccomp:\t2\n.*No such file.*\n.*Read-only file system/s);
    });
  });

  describe('namespaces', () => {
    async function inside(kind: string, spec: Partial<ContainerSpec>): Promise<boolean> {
      return (await shell(`readlink /proc/self/ns/${kind}`, spec)) === (await readlink(`/proc/self/ns/${kind}`));
    }

    it('are those of the host where that is asked for, and only those', async () => {
      for (const [key, kind] of [
        ['pid', 'pid'],
        ['ipc', 'ipc'],
        ['uts', 'uts'],
        ['cgroup', 'cgroup'],
      ] as const) {
        assert.equal(await inside(kind, {}), false, kind);
        const namespaces = { ...OWN, [key]: 'host' as const };
        assert.equal(await inside(kind, { namespaces }), true, kind);
      }
    });

    it('leaves nothing behind that ran beside the first process in the pid namespace of the host', async () => {
      const namespaces = { ...OWN, pid: 'host' as const };
      const ended = await under.shell('sleep 1000 & echo $!', { spec: { namespaces } });
      const pid = ended.output.trim();
      assert.match(pid, /^\d+$/);
      await under.runtime.remove(ended.id);
      // Dead it is at once; when it is reaped is up to the first process of the machine.
      const status = await readFile(`/proc/${pid}/status`, 'utf8').catch(() => 'State:\tX');
      assert.match(status, /^State:\t[XZ]/m);
    });

    it('has the name of the host, or one of its own with a domain', async () => {
      assert.equal(await shell('hostname', { namespaces: { ...OWN, uts: 'host' } }), hostname());
      const script = 'hostname; cat /proc/sys/kernel/domainname';
      assert.equal(await shell(script, { hostname: 'web', domainName: 'example.org' }), 'web\nexample.org');
      const both = await refused({ domainName: 'example.org', namespaces: { ...OWN, uts: 'host' } });
      assert.equal(both.field, 'domainname');
    });

    it('has shared memory of the size asked for, none, or that of the host', async () => {
      const script = "grep ' /dev/shm ' /proc/mounts | grep -o 'size=[0-9]*k'; ls -d /dev/shm";
      assert.match(await shell(script, { shmBytes: 8 << 20 }), /^size=8192k/);
      assert.match(await shell(script), /^size=65536k/);
      assert.match(await shell(script, { namespaces: { ...OWN, ipc: 'none' } }), /No such file/);
      const host = await shell('ls -di /dev/shm', { namespaces: { ...OWN, ipc: 'host' } });
      assert.equal(host.split(' ')[0], (await run('ls', ['-di', '/dev/shm'])).stdout.trim().split(' ')[0]);
    });

    it('sets kernel settings of its own namespaces only', async () => {
      const sysctls = { 'kernel.shmmax': '1000000' };
      assert.equal(await shell('cat /proc/sys/kernel/shmmax', { sysctls }), '1000000');
      assert.match((await refused({ sysctls, namespaces: { ...OWN, ipc: 'host' } })).field ?? '', /^sysctls/);
    });
  });

  describe('profiles', () => {
    it('filters by a profile of its own, and by none', async () => {
      const profile = {
        defaultAction: 'SCMP_ACT_ALLOW',
        syscalls: [{ names: ['mkdir', 'mkdirat'], action: 'SCMP_ACT_ERRNO', errnoRet: 28 }],
      };
      assert.match(
        await shell('mkdir /tmp/x; touch /tmp/y && echo touched', { seccomp: profile }),
        /No space.*\ntouched$/s,
      );
      assert.equal(await shell('grep Seccomp: /proc/self/status', { seccomp: 'unconfined' }), 'Seccomp:\t0');
    });

    it('leaves nothing of /proc masked with system paths unconfined', async () => {
      const script = 'grep -c "^[a-z]* /proc/[a-z]" /proc/mounts; touch /proc/sys/kernel/domainname && echo writable';
      assert.equal(await shell(script, { systemPathsUnconfined: true }), '0\nwritable');
    });

    it('says that AppArmor or SELinux is not enforced here', async function () {
      const { appArmor, seLinux } = under.runtime.context.machine;
      if (appArmor || seLinux) skipBecause(this, 'this kernel enforces AppArmor or SELinux');
      assert.match((await refused({ appArmorProfile: 'mine' })).message, /does not enforce AppArmor/);
      assert.match((await refused({ seLinuxLabels: { type: 'mine_t' } })).message, /does not enforce SELinux/);
      const loose = { appArmorProfile: 'unconfined', seLinuxLabels: { disable: '' } };
      assert.equal(await shell('echo ran', loose), 'ran');
    });
  });

  describe('shares', () => {
    /** The value of a file of its control group while it waits. */
    async function cgroupValue(controller: string, file: string, resources: Partial<ContainerSpec['resources']>) {
      const { layout } = under.runtime.context.cgroups;
      const id = await under.start(['/bin/sleep', '1000'], { spec: { resources: { ...NO_LIMITS, ...resources } } });
      const { record } = under.runtime.inspect(id) ?? assert.fail();
      const text = await readFile(`${layout.controllers.get(controller)}${record.cgroupPath}/${file}`, 'utf8');
      await under.runtime.remove(id);
      return text.trim();
    }

    it('of memory and processors are those of its control group (v1)', async function () {
      const { cgroups } = under.runtime.context;
      if (cgroups.layout.mode === 'v2' || !cgroups.support(under.cgroupParent).swappiness)
        skipBecause(this, 'cgroup v2: its files are tried in build-oci-spec.test.ts');
      const memoryBytes = 64 << 20;
      assert.equal(await cgroupValue('memory', 'memory.swappiness', { memoryBytes, swappiness: 7 }), '7');
      const soft = { memoryBytes, memorySoftBytes: 32 << 20 };
      assert.equal(await cgroupValue('memory', 'memory.soft_limit_in_bytes', soft), String(32 << 20));
      const waits = { memoryBytes, oomKillDisable: true };
      assert.match(await cgroupValue('memory', 'memory.oom_control', waits), /^oom_kill_disable 1/);
      assert.equal(await cgroupValue('cpu', 'cpu.shares', { cpuShares: 512 }), '512');
      assert.equal(await cgroupValue('cpuset', 'cpuset.cpus', { cpuset: '0' }), '0');
      assert.equal(await cgroupValue('cpuset', 'cpuset.mems', { cpusetMemories: '0' }), '0');
    });

    it('of disks are those of its control group, by device (v1)', async function () {
      if (!existsSync('/dev/loop7') || !under.runtime.context.cgroups.layout.controllers.has('blkio'))
        skipBecause(this, 'no loop device, or no blkio controller of v1');
      const none = { weight: undefined, deviceWeights: [], readBytes: [], writeBytes: [] };
      const blockIo = {
        ...none,
        readOperations: [],
        writeOperations: [],
        readBytes: [{ path: '/dev/loop7', value: 1e6 }],
      };
      assert.equal(await cgroupValue('blkio', 'blkio.throttle.read_bps_device', { blockIo }), '7:7 1000000');
      const noDisk = { ...blockIo, readBytes: [{ path: '/dev/null', value: 1e6 }] };
      assert.match((await refused({ resources: { ...NO_LIMITS, blockIo: noDisk } })).message, /is no disk/);
    });
  });

  it('is made by the runtime that is named, and refused for one that is not there', async function () {
    if ((await findProgram('runc')) === undefined) skipBecause(this, 'no runc is installed');
    const id = await under.start(['/bin/sleep', '1000'], { spec: { runtime: 'runc' } });
    assert.match(under.runtime.inspect(id)?.record.runtime ?? '', /runc$/);
    await under.reopen();
    assert.equal(under.runtime.inspect(id)?.record.state.phase, 'running');
    await under.runtime.remove(id);
    assert.equal(existsSync(join(under.runtime.context.paths.runtimeRoot, id)), false);
    const unknown = await refused({ runtime: 'bash' });
    assert.equal(unknown.field, 'runtime');
    assert.match(unknown.message, /no OCI runtime "bash", only crun/);
  });

  it('is the same with runc', async function () {
    if ((await findProgram('runc')) === undefined) skipBecause(this, 'no runc is installed');
    const runtime = 'runc';
    const source = await fakeDevice('runc');
    const devices = [{ source, target: '/dev/mine', access: 'r', optional: false }];
    const script = '(exec 3</dev/mine) && echo read; hostname; cat /proc/sys/kernel/domainname';
    const named = { devices, hostname: 'web', domainName: 'example.org', shmBytes: 8 << 20 };
    assert.equal(await shell(script, { ...named, runtime }), 'read\nweb\nexample.org');
    const namespaces = { pid: 'host', ipc: 'host', uts: 'host', cgroup: 'host' } as const;
    assert.equal(await shell('hostname; ls -d /dev/shm', { namespaces, runtime }), `${hostname()}\n/dev/shm`);
    const wide = await shell('grep Seccomp: /proc/self/status; ls -d /dev/fuse', { privileged: true, runtime });
    assert.equal(wide, 'Seccomp:\t0\n/dev/fuse');
    const profile = {
      defaultAction: 'SCMP_ACT_ALLOW',
      syscalls: [{ names: ['mkdir', 'mkdirat'], action: 'SCMP_ACT_ERRNO', errnoRet: 28 }],
    };
    assert.match(await shell('mkdir /tmp/x', { seccomp: profile, runtime }), /No space/);
  });

  it('carries its annotations in the bundle', async () => {
    const id = await under.start(['/bin/sleep', '1000'], { spec: { annotations: { 'org.example.team': 'blue' } } });
    const config = JSON.parse(await readFile(`${under.runtime.context.paths.bundle(id)}/config.json`, 'utf8')) as {
      readonly annotations: unknown;
    };
    assert.deepEqual(config.annotations, { 'org.example.team': 'blue' });
    await under.runtime.remove(id);
  });
});
