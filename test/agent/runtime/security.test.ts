/**
 * Goal: a container gets what Docker gives it and nothing more; hostile images and specs are refused or contained.
 * Method: look at the limits from inside real containers, and try the known ways out (classes 1, 2, 3, 8, 9, 10, 12, 13
 * and 25 of the security list).
 */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { chmod, copyFile, mkdir, readdir, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { capabilitiesOfMask } from '#agent/runtime/spec/capabilities.ts';
import { SwarmError } from '#common/errors.ts';
import { eventually } from '#test/support/eventually.ts';
import { describeInside } from './inside.ts';
import { TestRuntime } from './test-runtime.ts';

const DOCKER_CAPABILITIES = '00000000a80425fb';
const BIND = { kind: 'bind', propagation: 'rprivate', recursive: true, readOnly: false } as const;
const TMPFS = { kind: 'tmpfs', readOnly: false, sizeBytes: undefined, mode: 0o755, options: [] } as const;

async function digest(path: string): Promise<string> {
  return createHash('sha256')
    .update(await readFile(path))
    .digest('hex');
}

describeInside(import.meta.filename, 'runtime: security', () => {
  let under: TestRuntime;

  before(async () => {
    under = await TestRuntime.make();
  });
  after(() => under.remove());

  async function refused(changes: Parameters<TestRuntime['run']>[1], command: readonly string[] = ['/bin/true']) {
    try {
      await under.run(command, changes);
    } catch (error) {
      assert.ok(error instanceof SwarmError, String(error));
      return error;
    }
    assert.fail('it was not refused');
  }

  it('passes no descriptor above 2 (CVE-2016-9962, CVE-2024-21626)', async () => {
    const ended = await under.shell('for fd in /proc/self/fd/*; do echo ${fd##*/}; done');
    // The shell itself has none open but those three: expanding the pattern closes the directory again.
    const descriptors = ended.output.trim().split('\n').map(Number);
    for (const descriptor of descriptors.filter((one) => one > 2))
      assert.match(
        await under.shell(`ls -l /proc/self/fd/${descriptor} || echo gone`).then((run) => run.output),
        /gone/,
      );
  });

  it('gives the program itself only three descriptors', async () => {
    const id = await under.start(['/bin/sleep', '1000']);
    const { state } = under.runtime.inspect(id)?.record ?? assert.fail();
    assert.ok(state.phase === 'running');
    await eventually('the program runs', async () =>
      (await readFile(`/proc/${state.init.pid}/cmdline`, 'utf8')).startsWith('/bin/sleep'),
    );
    assert.deepEqual((await readdir(`/proc/${state.init.pid}/fd`)).toSorted(), ['0', '1', '2']);
    await under.runtime.remove(id);
  });

  it('gives the monitor no descriptor of ours', async () => {
    const id = await under.start(['/bin/sleep', '1000']);
    const { state } = under.runtime.inspect(id)?.record ?? assert.fail();
    assert.ok(state.phase === 'running');
    const own = new Set(
      (await Promise.all((await readdir('/proc/self/fd')).map(inodeOf))).filter((inode) => inode !== ''),
    );
    for (const descriptor of await readdir(`/proc/${state.monitor.pid}/fd`)) {
      const inode = await inodeOf(descriptor, state.monitor.pid);
      assert.ok(!inode.startsWith('socket:') || !own.has(inode), `descriptor ${descriptor} is ${inode}`);
    }
    await under.runtime.remove(id);
  });

  it('keeps the runtime binary out of reach of the container (CVE-2019-5736)', async () => {
    const binary = under.runtime.context.runtime.path;
    const before = await digest(binary);
    // The program is the runtime itself, started anew through /proc; a script then tries to write to it.
    await under.run(['/proc/self/exe', '--version']).catch(() => undefined);
    await writeFile(
      join(under.layer, 'bin/overwrite'),
      '#!/bin/sh\nfor exe in /proc/[0-9]*/exe /proc/self/exe; do (echo x > $exe) 2>/dev/null; done; echo tried\n',
      { mode: 0o755 },
    );
    assert.match((await under.run(['/bin/overwrite'])).output, /tried/);
    await writeFile(join(under.layer, 'bin/again'), '#!/proc/self/exe\n', { mode: 0o755 });
    await under.run(['/bin/again']).catch(() => undefined);
    assert.equal(await digest(binary), before);
  });

  it('does both of a command in a container, too, and gives it no more rights than the container has', async () => {
    const binary = under.runtime.context.runtime.path;
    const before = await digest(binary);
    await writeFile(join(under.layer, 'bin/hostile'), '#!/proc/self/exe\n', { mode: 0o755 });
    const id = await under.start(
      ['/bin/sh', '-c', 'while :; do for exe in /proc/[0-9]*/exe; do (echo x > $exe) 2>/dev/null; done; done'],
      {
        spec: { user: 'user', noNewPrivileges: true },
      },
    );
    const exec = (...command: readonly string[]) =>
      under.runtime.exec(id, { command, timeoutMs: 10_000, outputBytesMax: 4096 });
    await exec('/proc/self/exe', '--version');
    await exec('/bin/hostile');
    assert.equal(await digest(binary), before);
    const { output } = await exec('/bin/sh', '-c', 'cat /proc/self/status; sleep 0.1; ls -l /proc/$$/fd');
    assert.match(output, /CapEff:\t0000000000000000\nCapBnd:\t00000000a80425fb\nCapAmb:\t0000000000000000/);
    assert.match(output, /NoNewPrivs:\t1\nSeccomp:\t2/);
    assert.deepEqual(
      new Set([...output.matchAll(/ (\d+) -> /g)].map(([, number]) => number)),
      new Set(['0', '1', '2']),
    );
    await under.runtime.remove(id);
  });

  it('masks and protects what Docker does (class 10)', async () => {
    const masked = 'acpi asound interrupts kcore keys latency_stats sched_debug scsi timer_list timer_stats';
    const hidden = await under.shell(
      `for path in ${masked.replaceAll(/\w+/g, '/proc/$&')} /sys/firmware /sys/devices/virtual/powercap; do
         if [ -d $path ]; then ls -A $path; else head -c 10 $path 2>/dev/null; fi; done`,
    );
    assert.equal(hidden.output, '');
    const protectedFiles = [
      '/proc/sys/vm/swappiness',
      '/proc/sysrq-trigger',
      '/proc/irq/default_smp_affinity',
      '/sys/kernel/mm/ksm/run',
    ];
    for (const path of protectedFiles)
      assert.match((await under.shell(`echo 1 > ${path}`)).output, /Read-only file system|nonexistent/, path);
    const cgroups = await under.shell('for d in /sys/fs/cgroup/*; do mkdir $d/x 2>/dev/null && echo $d; done');
    assert.equal(cgroups.output, '');
  });

  it('grants exactly the capabilities of Docker, none inheritable or ambient (CVE-2022-24769)', async () => {
    const { capabilities } = under.runtime.context.machine;
    const ended = await under.shell('grep ^Cap /proc/self/status');
    const masks = Object.fromEntries(
      ended.output
        .trim()
        .split('\n')
        .map((line) => line.split(':\t')),
    );
    const expected = capabilitiesOfMask(DOCKER_CAPABILITIES).filter((name) => capabilities.includes(name));
    assert.deepEqual(capabilitiesOfMask(masks['CapBnd'] ?? ''), expected);
    assert.deepEqual([masks['CapInh'], masks['CapAmb']], ['0000000000000000', '0000000000000000']);
    assert.deepEqual([masks['CapPrm'], masks['CapEff']], [masks['CapBnd'], masks['CapBnd']]);
    const user = await under.shell('grep ^CapEff /proc/self/status', { spec: { user: '1000' } });
    assert.equal(user.output, 'CapEff:\t0000000000000000\n');
    const less = await under.shell('grep ^CapBnd /proc/self/status', {
      spec: { capabilityDrop: ['ALL'], capabilityAdd: ['net_bind_service'] },
    });
    assert.equal(less.output, 'CapBnd:\t0000000000000400\n');
  });

  it('filters system calls, and refuses namespaces and mounts', async () => {
    const status = await under.shell('grep ^Seccomp: /proc/self/status');
    assert.equal(status.output, 'Seccomp:\t2\n');
    for (const attempt of [
      'unshare -U true',
      'unshare -m true',
      'mount -t tmpfs none /tmp',
      'umount /dev/shm',
      'reboot -f',
    ])
      assert.match(
        (await under.shell(`${attempt} 2>&1`)).output,
        /[Oo]peration not permitted|permission denied/,
        attempt,
      );
    // With the capability the filter lets through what the capability is for.
    const allowed = await under.shell('mount -t tmpfs none /tmp && echo mounted', {
      spec: { capabilityAdd: ['SYS_ADMIN'] },
    });
    assert.equal(allowed.output, 'mounted\n');
    assert.match(
      (await under.shell('unshare -U true 2>&1', { spec: { capabilityAdd: ['SYS_TIME'] } })).output,
      /not permitted/,
    );
  });

  it('sets no_new_privs when asked', async () => {
    const get = async (noNewPrivileges: boolean) =>
      (await under.shell('grep ^NoNewPrivs /proc/self/status', { spec: { noNewPrivileges } })).output;
    assert.equal(await get(true), 'NoNewPrivs:\t1\n');
    assert.equal(await get(false), 'NoNewPrivs:\t0\n');
  });

  it('refuses working directories in /proc, also behind links (CVE-2024-21626)', async () => {
    await symlink('/proc/self/fd', join(under.layer, 'descriptors')).catch(() => {});
    for (const workingDirectory of [
      '/proc/self/fd/7',
      '/proc/../proc/self/fd/8',
      '/descriptors/7',
      '/descriptors',
      '/sys/fs',
    ])
      assert.equal((await refused({ spec: { workingDirectory } })).field, 'workingDirectory', workingDirectory);
    assert.equal((await refused({ spec: { workingDirectory: 'relative' } })).field, 'workingDirectory');
    assert.equal((await refused({ defaults: { workingDirectory: '/proc/self/fd/9' } })).field, 'workingDirectory');
  });

  it('refuses mounts at / and in /proc, also behind links (CVE-2019-16884)', async () => {
    await symlink('/proc', join(under.layer, 'innocent')).catch(() => {});
    await symlink('innocent', join(under.layer, 'chain')).catch(() => {});
    for (const target of [
      '/',
      '/.',
      '/x/..',
      '/proc',
      '/proc/',
      '/proc/sys',
      '/innocent',
      '/chain/sys',
      'relative',
      '',
    ])
      assert.equal((await refused({ spec: { mounts: [{ ...TMPFS, target }] } })).field, 'mounts.target', target);
    assert.equal(
      (
        await refused({
          spec: {
            mounts: [
              { ...TMPFS, target: '/a' },
              { ...TMPFS, target: '/a/' },
            ],
          },
        })
      ).field,
      'mounts.target',
    );
  });

  it('refuses a mount through a link that lies in a volume', async () => {
    const volume = join(under.directory, 'volume');
    await mkdir(volume, { recursive: true });
    await symlink('/proc', join(volume, 'link')).catch(() => {});
    const mounts = [
      { ...BIND, source: volume, target: '/data' },
      { ...TMPFS, target: '/data/link/sys' },
    ];
    assert.match((await refused({ spec: { mounts } })).message, /goes through a link/);
  });

  it('makes nothing on the host for a mount target that is a link (CVE-2021-30465)', async () => {
    const trap = join(under.directory, 'trap');
    await symlink(trap, join(under.layer, 'trap')).catch(() => {});
    const ended = await under
      .shell('ls -d /trap/', { spec: { mounts: [{ ...TMPFS, target: '/trap/x' }] } })
      .catch(() => undefined);
    await assert.rejects(stat(trap), { code: 'ENOENT' });
    assert.ok(ended === undefined || ended.code === 0);
  });

  it('reads accounts inside the image only, whatever links say', async () => {
    const layer = join(under.directory, 'evil-layer');
    await mkdir(join(layer, 'etc'), { recursive: true });
    await mkdir(join(layer, 'bin'), { recursive: true });
    await copyFile('/bin/busybox', join(layer, 'bin/busybox'));
    const host = join(under.directory, 'host-passwd');
    await writeFile(host, 'evil:x:0:0::/:/bin/sh\n');
    await symlink(host, join(layer, 'etc/passwd'));
    const image = { ...under.request([]).image, layers: [layer] };
    const error = await refused({ image, spec: { user: 'evil' } }, ['/bin/busybox', 'true']);
    assert.equal(error.field, 'user');
  });

  it('resolves users as Docker does (CVE-2016-3697, CVE-2024-40635, CVE-2022-36109)', async () => {
    const id = async (user: string) =>
      (await under.shell('id -u; id -g; id -G', { spec: { user } })).output.trim().split('\n');
    assert.deepEqual(await id('user'), ['1000', '1000', '1000 29 44']);
    assert.deepEqual(await id('user:audio'), ['1000', '29', '29']);
    assert.deepEqual(await id('1234'), ['1234', '0', '0']); // a number, although a user has it as its name
    assert.deepEqual(await id('7:8'), ['7', '8', '8']);
    for (const user of [
      '2147483648',
      '4294967296',
      '-1',
      '+0',
      'nobody-here',
      '0:nogroup',
      'a:b:c',
      '99999999999999999999',
    ])
      assert.ok(['user', 'group'].includes((await refused({ spec: { user } })).field ?? ''), user);
    assert.deepEqual(await id('2147483647'), ['2147483647', '0', '0']);
  });

  it('closes its directories to others (CVE-2021-41091)', async () => {
    for (const directory of [under.stateDirectory, join(under.stateDirectory, 'containers'), under.runDirectory])
      assert.equal((await stat(directory)).mode & 0o777, 0o700, directory);
    const id = await under.start(['/bin/sh', '-c', 'cp /bin/busybox /suid && chmod 4755 /suid && sleep 1000']);
    const { paths } = under.runtime.context;
    const suid = join(paths.container(id), 'u/suid');
    await eventually(
      'the setuid file is there',
      async () => (await stat(suid).catch(() => undefined))?.mode === 0o104755,
    );
    // mkdtemp made the outer directory private; it is opened so that only ours is in the way.
    await chmod(under.directory, 0o755);
    try {
      const attempt = promisify(execFile)('/bin/busybox', ['cat', suid], { uid: 65534, gid: 65534 });
      await assert.rejects(attempt, /Permission denied|can't open/);
    } finally {
      await chmod(under.directory, 0o700);
      await under.runtime.remove(id);
    }
  });

  it('keeps config.json, with its environment, to root', async () => {
    const id = await under.start(['/bin/sleep', '1000'], { spec: { env: ['SECRET=x'] } });
    const bundle = under.runtime.context.paths.bundle(id);
    assert.equal((await stat(bundle)).mode & 0o777, 0o700);
    assert.equal((await stat(join(bundle, 'config.json'))).mode & 0o777, 0o600);
    for (const pid of await readdir('/proc'))
      if (/^\d+$/.test(pid) && (await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')).includes('conmon'))
        assert.ok(!(await readFile(`/proc/${pid}/environ`, 'latin1').catch(() => '')).includes('SECRET=x'));
    await under.runtime.remove(id);
  });

  it('opens no abstract socket (CVE-2020-15257)', async () => {
    const before = await abstractSockets();
    const id = await under.start(['/bin/sleep', '1000'], { spec: { tty: true, openStdin: true } });
    const fresh = (await abstractSockets()).filter((name) => !before.includes(name));
    await under.runtime.remove(id);
    assert.deepEqual(
      fresh.filter((name) => /conmon|crun|runc|starling/i.test(name)),
      [],
    );
  });

  it('refuses names that could be options, paths or overlay options (class 25)', async () => {
    for (const id of [
      '-rf',
      '--root=/',
      '../x',
      'a/b',
      '',
      '.',
      '..',
      'a:b',
      'a,b',
      'a b',
      'a\nb',
      'x'.repeat(129),
      '$(reboot)',
    ])
      assert.equal((await refused({ id })).field, 'id', id);
    // Arguments of the program are its own, whatever they look like.
    const ended = await under.run(['/bin/echo', '--root=/', '$(reboot)', '; reboot', '-n'], {});
    assert.equal(ended.output, '--root=/ $(reboot) ; reboot -n\n');
  });

  it('refuses settings of the whole machine', async () => {
    for (const name of [
      'vm.swappiness',
      'kernel.hostname',
      'net',
      'net.ipv4/../../vm',
      'kernel.core_pattern',
      'fs.file-max',
    ])
      assert.match((await refused({ spec: { sysctls: { [name]: '1' } } })).field ?? '', /^sysctls/, name);
    const host = { network: { kind: 'host' }, spec: { sysctls: { 'net.ipv4.ip_forward': '1' } } } as const;
    assert.match((await refused(host)).field ?? '', /^sysctls/);
  });

  it('cannot make devices work, nor read those of the host', async () => {
    const [major, minor] = await diskNumbers();
    const ended = await under.shell(`mknod /disk b ${major} ${minor} && head -c 1 /disk`);
    assert.match(ended.output, /Operation not permitted|Permission denied/);
  });

  it('leaves files of the host alone when it is removed', async () => {
    const kept = join(under.directory, 'kept');
    await mkdir(kept, { recursive: true });
    await writeFile(join(kept, 'file'), 'x');
    const id = await under.start(['/bin/sh', '-c', `ln -s ${kept} /link; ln -s /proc/1/root /root-link; sleep 1000`], {
      spec: { mounts: [{ ...BIND, source: kept, target: '/mnt' }] },
    });
    await eventually('the links are there', async () =>
      (await readdir(join(under.runtime.context.paths.container(id), 'u'))).includes('root-link'),
    );
    await under.runtime.remove(id);
    assert.equal(await readFile(join(kept, 'file'), 'utf8'), 'x');
    await rm(kept, { recursive: true });
  });
});

async function inodeOf(descriptor: string, pid: number | 'self' = 'self'): Promise<string> {
  const { readlink } = await import('node:fs/promises');
  return readlink(`/proc/${pid}/fd/${descriptor}`).catch(() => '');
}

async function abstractSockets(): Promise<readonly string[]> {
  const text = await readFile('/proc/net/unix', 'utf8');
  return text.split('\n').flatMap((line) => /\s(@\S+)$/.exec(line)?.[1] ?? []);
}

async function diskNumbers(): Promise<readonly [string, string]> {
  const line = (await readFile('/proc/partitions', 'utf8')).trim().split('\n').at(-1) ?? '';
  const [major, minor] = line.trim().split(/\s+/);
  return [major ?? '8', minor ?? '0'];
}
