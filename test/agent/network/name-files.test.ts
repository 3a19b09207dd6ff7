/** Goal: names resolve in tasks as they do in Docker. Method: hosts with the usual kinds of resolv.conf. */
import assert from 'node:assert/strict';
import { readResolvConf } from '#agent/dns/index.ts';
import type { AttachRequest, DnsSettings } from '#agent/network/index.ts';
import { type HostNameFiles, isStubResolver, nameFiles, taskResolvConf } from '#agent/network/name-files.ts';

const FALLBACK = ['8.8.8.8', '8.8.4.4'];
const NO_DNS: DnsSettings = { nameservers: [], search: [], options: [] };

function task(text: string, dns = NO_DNS, hasIpv6 = false): string {
  return taskResolvConf(readResolvConf(text), dns, FALLBACK, hasIpv6);
}

function filesFor(request: Partial<AttachRequest>, host: Partial<HostNameFiles> = {}): ReturnType<typeof nameFiles> {
  return nameFiles({
    request: { taskId: 't', mode: 'gateway', hostname: 'web', ports: [], ...request },
    address: request.mode === undefined ? '10.255.0.9' : undefined,
    hostAddress: '169.254.80.0',
    host: { resolvConf: '', realResolvConf: '', hosts: '', ...host },
    fallbackNameservers: FALLBACK,
    hasIpv6: false,
    asksResolver: false,
  });
}

describe('network: name files', () => {
  it('passes the host’s resolvers on, without comments', () => {
    const text = '# made by hand\nnameserver 192.0.2.53 ; first\nsearch example.org lan\noptions ndots:2 edns0\n';
    assert.equal(task(text), 'nameserver 192.0.2.53\nsearch example.org lan\noptions ndots:2 edns0\n');
  });

  it('leaves out resolvers that a task cannot reach, and falls back when none is left', () => {
    assert.equal(
      task('nameserver 127.0.0.1\nnameserver 192.0.2.53\nnameserver 2001:db8::1\n'),
      'nameserver 192.0.2.53\n',
    );
    assert.equal(task('nameserver 127.0.0.53\nnameserver ::1\n'), 'nameserver 8.8.8.8\nnameserver 8.8.4.4\n');
    assert.equal(task(''), 'nameserver 8.8.8.8\nnameserver 8.8.4.4\n');
    assert.equal(
      task('nameserver 2001:db8::1\nnameserver fe80::1%eth0\nnameserver ::1\n', NO_DNS, true),
      'nameserver 2001:db8::1\n',
    );
  });

  it('names no more resolvers than the C library reads', () => {
    const text = [1, 2, 3, 4].map((n) => `nameserver 192.0.2.${n}\n`).join('');
    assert.equal(task(text).match(/nameserver/g)?.length, 3);
  });

  it('lets the task’s own settings win, one by one', () => {
    const host = 'nameserver 192.0.2.53\nsearch lan\noptions ndots:2\n';
    const dns = { nameservers: ['192.0.2.99'], search: ['.'], options: [] };
    assert.equal(task(host, dns), 'nameserver 192.0.2.99\noptions ndots:2\n');
  });

  it('writes the full name of a task with a domain beside the short one', () => {
    const { hosts, hostname } = filesFor({ hostname: 'web', domainName: 'example.org' });
    assert.match(hosts, /^\S+\tweb\.example\.org web$/m);
    assert.equal(hostname, 'web\n');
  });

  it('knows systemd’s stub', () => {
    assert.equal(isStubResolver(readResolvConf('nameserver 127.0.0.53\n')), true);
    assert.equal(isStubResolver(readResolvConf('nameserver 127.0.0.53\nnameserver 192.0.2.1\n')), false);
    assert.equal(isStubResolver(readResolvConf('')), false);
  });

  it('writes the task’s name, its extra hosts, and the host’s address for host-gateway', () => {
    const { hosts, hostname } = filesFor({
      hostname: 'web.example.org',
      hosts: ['192.0.2.7 db db.lan', 'host-gateway host.docker.internal', 'broken'],
    });
    assert.equal(hostname, 'web.example.org\n');
    assert.match(hosts, /^127\.0\.0\.1\tlocalhost\n::1\tlocalhost/);
    assert.match(hosts, /\n192\.0\.2\.7\tdb db\.lan\n169\.254\.80\.0\thost\.docker\.internal\n/);
    assert.match(hosts, /\n10\.255\.0\.9\tweb\.example\.org web\n$/);
    assert.doesNotMatch(hosts, /broken/);
  });

  it('gives a task without network a name of its own too', () => {
    assert.match(filesFor({ mode: 'none' }).hosts, /\n127\.0\.1\.1\tweb\n$/);
  });

  it('gives a task in the host’s namespace the host’s files', () => {
    const host = {
      resolvConf: 'nameserver 127.0.0.53\n',
      realResolvConf: 'nameserver 192.0.2.53\n',
      hosts: '127.0.0.1 me',
    };
    const files = filesFor({ mode: 'host', hosts: ['192.0.2.7 db'] }, host);
    assert.equal(files.resolvConf, 'nameserver 127.0.0.53\n');
    assert.equal(files.hosts, '127.0.0.1 me\n192.0.2.7\tdb\n');
  });
});
