/** Goal: the values of flags are read as Docker reads them. Method: examples of each form, and of each way to go wrong. */
import assert from 'node:assert/strict';
import fc from 'fast-check';
import {
  MountPropagation,
  MountType,
  PortProtocol,
  PublishMode,
  TrafficPolicy,
  VolumeSticky,
} from '#gen/swarm/v1/specs.ts';
import { FlagValueError } from '#src/cli/cli-errors.ts';
import { capability, extraHost, searchDomain, ulimit } from '#src/cli/values/container-values.ts';
import { csvFields } from '#src/cli/values/csv.ts';
import { environmentFile, filter, label, withoutOverridden } from '#src/cli/values/key-values.ts';
import { mount } from '#src/cli/values/mounts.ts';
import { networkAttachment } from '#src/cli/values/network-attachments.ts';
import { anyPorts, publishedPorts } from '#src/cli/values/ports.ts';
import { cpuNanos, durationMs, integer, sizeBytes, unsigned } from '#src/cli/values/scalars.ts';
import { shellWords } from '#src/cli/values/shell-words.ts';
import { momentNs } from '#src/cli/values/times.ts';

function complaint(work: () => unknown): FlagValueError {
  try {
    work();
  } catch (thrown) {
    assert.ok(thrown instanceof FlagValueError, String(thrown));
    return thrown;
  }
  return assert.fail('it was taken');
}

describe('cli: numbers', () => {
  it('cpus are decimals or fractions', () => {
    assert.equal(cpuNanos('0.5'), 5e8);
    assert.equal(cpuNanos('1/4'), 25e7);
    assert.equal(cpuNanos('1.5e1'), 15e9);
    assert.equal(complaint(() => cpuNanos('a')).message, 'failed to parse a as a rational number');
    assert.equal(complaint(() => cpuNanos('1/3')).message, 'value is too precise');
    assert.equal(complaint(() => cpuNanos('1/0')).message, 'failed to parse 1/0 as a rational number');
  });

  it('whole numbers are not negative where they may not be', () => {
    assert.equal(unsigned('0x10'), 16);
    assert.equal(integer('-12'), -12);
    assert.match(complaint(() => unsigned('-1')).message, /invalid syntax/);
    assert.match(complaint(() => unsigned('1.5')).message, /invalid syntax/);
    assert.match(complaint(() => unsigned('18446744073709551615')).message, /value out of range/);
  });

  it('durations are milliseconds, and nothing finer', () => {
    assert.equal(durationMs('1m30s'), 90_000);
    assert.equal(complaint(() => durationMs('1500us')).message, 'duration 1500us is too precise');
    assert.equal(complaint(() => durationMs('5')).hint, 'write a duration such as 500ms, 10s or 1h30m');
  });

  it('sizes', () => {
    assert.equal(sizeBytes('64m'), 67_108_864);
    assert.match(complaint(() => sizeBytes('lots')).message, /invalid size/);
  });

  it('moments are a while ago, a date, or seconds', () => {
    const now = Date.UTC(2026, 0, 1);
    assert.equal(momentNs('42m', now), (now - 42 * 60_000) * 1e6);
    assert.equal(momentNs('1700000000.5', now), 1_700_000_000.5 * 1e9);
    assert.equal(momentNs('2026-01-02T03:04:05Z', now), Date.UTC(2026, 0, 2, 3, 4, 5) * 1e6);
    assert.equal(momentNs('2026-01-02T03:04:05+02:00', now), Date.UTC(2026, 0, 2, 1, 4, 5) * 1e6);
    assert.match(complaint(() => momentNs('yesterday', now)).message, /failed to parse/);
  });
});

describe('cli: texts', () => {
  it('comma-separated fields, quoted where they hold commas', () => {
    assert.deepEqual(csvFields('a=b,c=d'), ['a=b', 'c=d']);
    assert.deepEqual(csvFields('"a,b",c,"d""e"'), ['a,b', 'c', 'd"e']);
    assert.deepEqual(csvFields('a,'), ['a', '']);
    assert.match(complaint(() => csvFields('a"b')).message, /bare "/);
    assert.match(complaint(() => csvFields('"a')).message, /missing "/);
  });

  it('shell words', () => {
    assert.deepEqual(shellWords('sh -c "echo \\"a b\\" $X" \'c d\' e\\ f'), [
      'sh',
      '-c',
      'echo "a b" $X',
      'c d',
      'e f',
    ]);
    assert.deepEqual(shellWords('  a # comment\nb '), ['a', 'b']);
    assert.deepEqual(shellWords('""'), ['']);
    assert.match(complaint(() => shellWords('"a')).message, /closing quote/);
    assert.match(complaint(() => shellWords('a\\')).message, /escape/);
  });

  it('shell words never lose a letter of plain words', () => {
    const plain = fc.array(fc.stringMatching(/^[a-z0-9=/.-]{1,8}$/), { minLength: 1 });
    fc.assert(fc.property(plain, (words) => assert.deepEqual(shellWords(words.join('  ')), words)));
  });

  it('labels and filters', () => {
    assert.deepEqual(label('a=b=c'), { key: 'a', value: 'b=c' });
    assert.deepEqual(label('a'), { key: 'a', value: undefined });
    assert.deepEqual(filter(' NAME = web '), { key: 'name', value: 'web' });
    assert.match(complaint(() => filter('name')).message, /bad format of filter/);
  });

  it('environment files', () => {
    const content = '\ufeff# comment\nA=1\n  B=two words # kept\n\nC\nD\r\nE=\r\n';
    assert.deepEqual(environmentFile(content, { C: 'from caller' }), [
      'A=1',
      'B=two words # kept',
      'C=from caller',
      'E=',
    ]);
    assert.match(complaint(() => environmentFile('=x', {})).message, /no variable name/);
    assert.match(complaint(() => environmentFile('A B=x', {})).message, /whitespaces/);
  });

  it('later entries win', () => {
    assert.deepEqual(withoutOverridden(['A=1', 'B=1', 'A=2', 'C']), ['B=1', 'A=2', 'C']);
  });
});

describe('cli: mounts', () => {
  it('read binds, volumes and tmpfs', () => {
    const bind = mount('type=bind,src=/a,dst=/b,ro,bind-propagation=rshared,bind-create-src');
    assert.deepEqual(
      [bind.type, bind.source, bind.target, bind.readOnly, bind.bind?.propagation, bind.bind?.createSource],
      [MountType.BIND, '/a', '/b', true, MountPropagation.RSHARED, true],
    );
    assert.deepEqual(mount('src=v,dst=/v,volume-label=a=b').volume?.labels, { a: 'b' });
    const ours = mount('src=v,dst=/v,volume-subpath=a/b,volume-sticky=preferred').volume;
    assert.deepEqual([ours?.subpath, ours?.sticky], ['a/b', VolumeSticky.PREFERRED]);
    assert.deepEqual(mount('type=tmpfs,dst=/t,tmpfs-opt=exec,tmpfs-opt=uid=7').tmpfs?.options, ['exec', 'uid=7']);
    assert.equal(mount('type=tmpfs,dst=/t,tmpfs-mode=1770').tmpfs?.mode, 0o1770);
    assert.equal(mount('type=bind,source=.,target=/x').source, process.cwd());
  });

  it('refuse what this release has not, with the way out', () => {
    const cases: readonly (readonly [string, RegExp])[] = [
      ['type=npipe,src=a,dst=/b', /named pipes/],
      ['type=cluster,src=a,dst=/b', /cluster volumes/],
      ['type=image,src=a,dst=/b', /image mounts/],
      ['type=bind,src=/a,dst=/b,consistency=cached', /leave it out/],
      ['src=a,dst=/b,volume-sticky=x', /required, preferred or off/],
      ['type=bind,src=/a,dst=/b,bind-recursive=readonly', /enabled and disabled/],
      ['type=nonsense,dst=/b', /use bind, volume or tmpfs/],
    ];
    for (const [text, hint] of cases) assert.match(complaint(() => mount(text)).hint ?? '', hint, text);
  });
});

describe('cli: ports', () => {
  it('in the long form', () => {
    const [port] = publishedPorts('mode=host,published=8080,target=80,protocol=udp,host-ip=10.0.0.1');
    assert.deepEqual(port, {
      publishMode: PublishMode.HOST,
      publishedPort: 8080,
      targetPort: 80,
      protocol: PortProtocol.UDP,
      hostIp: '10.0.0.1',
      trafficPolicy: TrafficPolicy.UNSPECIFIED,
    });
    const policy = (text: string): TrafficPolicy | undefined => publishedPorts(text)[0]?.trafficPolicy;
    assert.equal(policy('target=80,traffic-policy=prefer-local'), TrafficPolicy.PREFER_LOCAL);
    assert.equal(policy('target=80,traffic-policy=local'), TrafficPolicy.LOCAL);
    assert.equal(policy('target=80,traffic-policy=cluster'), TrafficPolicy.CLUSTER);
    assert.match(
      complaint(() => publishedPorts('target=80,traffic-policy=far')).message,
      /cluster, prefer-local, local/,
    );
    assert.match(complaint(() => publishedPorts('target=80,host-ip=here')).message, /invalid IP address: here/);
    assert.match(complaint(() => publishedPorts('target=80,colour=red')).message, /invalid field key: colour/);
  });

  it('are published by the routing mesh where no mode is named; a removal means any', () => {
    for (const text of ['80:80', 'published=80,target=80', 'mode=ingress,target=80'])
      assert.equal(publishedPorts(text)[0]?.publishMode, PublishMode.INGRESS, text);
    assert.equal(anyPorts('80:80')[0]?.publishMode, PublishMode.UNSPECIFIED);
    assert.equal(anyPorts('mode=host,target=80')[0]?.publishMode, PublishMode.HOST);
  });

  it('may be on chosen addresses of the host', () => {
    const address = (text: string): string | undefined => publishedPorts(text)[0]?.hostIp;
    assert.equal(address('10.0.0.1:8080:80'), '10.0.0.1');
    assert.equal(address('[fd00::1]:8080:80/udp'), 'fd00::1');
    assert.equal(address('[::ffff:10.0.0.1]:8080:80'), '::ffff:10.0.0.1');
    assert.equal(address('10.0.0.1::80'), '10.0.0.1');
    assert.equal(address('published=8080,target=80,host_ip=[fd00::1]'), 'fd00::1');
    assert.equal(address('0.0.0.0:8080:80'), '');
    assert.equal(address('[::]:8080:80'), '');
    assert.match(complaint(() => publishedPorts('300.0.0.1:80:80')).message, /invalid IP address: 300\.0\.0\.1/);
    assert.match(complaint(() => publishedPorts('fd00::1:80:80')).message, /invalid IP address/);
  });

  it('may be ranges in the short form', () => {
    const pairs = (text: string): unknown => anyPorts(text).map((port) => [port.publishedPort, port.targetPort]);
    assert.deepEqual(pairs('8000-8002:80-82'), [
      [8000, 80],
      [8001, 81],
      [8002, 82],
    ]);
    assert.deepEqual(pairs('8000-8001:80'), [
      [8000, 80],
      [8001, 80],
    ]);
    assert.deepEqual(pairs('80-81'), [
      [0, 80],
      [0, 81],
    ]);
    assert.match(complaint(() => anyPorts('8000-8001:80-82')).message, /invalid ranges/);
    assert.match(complaint(() => anyPorts('8000:80-82')).message, /invalid ranges/);
  });
});

describe('cli: networks of a service', () => {
  it('by name, or with all that can be said of them', () => {
    assert.equal(networkAttachment('back').network, 'back');
    assert.deepEqual(networkAttachment('name=back,alias=db,alias=sql,ip=10.0.1.9,ip6=fd00::9,driver-opt=k=v=w'), {
      network: 'back',
      aliases: ['db', 'sql'],
      addresses: ['10.0.1.9', 'fd00::9'],
      driverOptions: { k: 'v=w' },
    });
  });

  it('refuses what is for single containers, and addresses that are none', () => {
    for (const key of ['mac-address', 'link-local-ip', 'gw-priority']) {
      const error = complaint(() => networkAttachment(`name=back,${key}=1`));
      assert.match(error.message, new RegExp(`^${key} is not supported`));
      assert.notEqual(error.hint ?? '', '');
    }
    assert.match(complaint(() => networkAttachment('name=back,ip=10.0.1')).message, /not an IPv4 address/);
    assert.match(complaint(() => networkAttachment('name=back,ip6=10.0.1.1')).message, /not an IPv6 address/);
    assert.match(complaint(() => networkAttachment('alias=db')).message, /name\/id is not specified/);
  });
});

describe('cli: other values', () => {
  it('ulimits', () => {
    assert.deepEqual([ulimit('nofile=5').soft, ulimit('nofile=5').hard], [5, 5]);
    assert.deepEqual([ulimit('core=0:-1').soft, ulimit('core=0:-1').hard], [0, -1]);
    assert.match(complaint(() => ulimit('nofile=9:5')).message, /soft limit must be less/);
    assert.match(complaint(() => ulimit('nofile=1:2:3')).message, /too many limit value/);
  });

  it('hosts, domains, capabilities', () => {
    assert.equal(extraHost('db:10.0.0.1'), '10.0.0.1 db');
    assert.equal(extraHost('db:fd00::1'), 'fd00::1 db');
    assert.equal(extraHost('db=[fd00::1]'), 'fd00::1 db');
    assert.equal(searchDomain('example.com'), 'example.com');
    assert.match(complaint(() => searchDomain('-x')).message, /not a valid domain/);
    assert.equal(capability('net_admin'), 'CAP_NET_ADMIN');
    assert.equal(capability('CAP_CHOWN'), 'CAP_CHOWN');
    assert.equal(capability('all'), 'ALL');
  });
});
