/** Goal: containers find 127.0.0.11 and the search list that Docker would give them. */
import assert from 'node:assert/strict';
import { containerResolvConf, readResolvConf, usableNameservers } from '#agent/dns/book/resolv-conf.ts';
import { DnsConfig } from '#gen/swarm/v1/specs.ts';

const HOST = '# made by hand\nnameserver 192.0.2.53\nsearch corp.example example.org\noptions edns0 timeout:2\n';

describe('dns: resolv.conf', () => {
  it("a container's names our server, the host's search list and options, and ndots:0", () => {
    assert.equal(
      containerResolvConf(HOST, undefined),
      'nameserver 127.0.0.11\nsearch corp.example example.org\noptions edns0 timeout:2 ndots:0\n',
    );
  });

  it("the service's own list and options take the place of the host's; its servers are asked by the resolver", () => {
    const dns = DnsConfig.create({ nameservers: ['1.1.1.1'], search: ['a.b'], options: ['ndots:5'] });
    assert.equal(containerResolvConf(HOST, dns), 'nameserver 127.0.0.11\nsearch a.b\noptions ndots:5\n');
    assert.equal(
      containerResolvConf(HOST, DnsConfig.create({ search: ['.'] })),
      'nameserver 127.0.0.11\noptions edns0 timeout:2 ndots:0\n',
    );
  });

  it('reads what the C library reads', () => {
    assert.deepEqual(readResolvConf('domain a\nsearch b c ; no\n;nameserver 1.1.1.1\nnameserver 127.0.0.53\n'), {
      nameservers: ['127.0.0.53'],
      search: ['b', 'c'],
      options: [],
    });
  });

  it('three servers, none twice, and none that is no address', () => {
    const texts = ['dns.example.org', '1.1.1.1', '1.1.1.1', 'fe80::1%eth0', '10.0.0.0/8', '127.0.0.53', '8.8.8.8'];
    assert.deepEqual(usableNameservers(texts), ['1.1.1.1', 'fe80::1%eth0', '127.0.0.53']);
  });
});
