/**
 * Goal: what nodes send to one another goes by the port that the swarm has chosen, and only from its nodes. Method: hosts
 * with all that a daemon has for networks, which begin with the usual port, as one does that was in another swarm.
 */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { vxlanPorts } from '#common/data-path-ports.ts';
import { ClusterHosts } from './cluster-hosts.ts';

describe('network: the port of the data path', function () {
  this.timeout(60_000);
  let hosts: ClusterHosts;

  before(async () => {
    hosts = await ClusterHosts.make(2, [{ id: 'red', vni: 4097, subnet: '10.0.1.0/24' }]);
  });

  after(() => hosts?.destroy());

  /** Rules about VXLAN in the clear. */
  const guardOf = (host: number): readonly string[] => {
    const command = [`--net=${hosts.hostPath(host)}`, 'nft', 'list', 'ruleset'];
    const rules = execFileSync('nsenter', command, { encoding: 'utf8' });
    return rules.split('\n').filter((line) => line.includes('@nodes4') || line.includes('udp dport {'));
  };

  it('tasks reach each other by it, and the guard stands before it', async () => {
    assert.match(guardOf(1).join(), /udp dport 4789 .*@nodes4 drop/);
    hosts.dataPathPort = 5789;
    await hosts.add({ id: 'one', host: 1, networks: { red: '10.0.1.10' } });
    await hosts.add({ id: 'two', host: 2, networks: { red: '10.0.1.11' } });
    await hosts.inTask('two').call('serve', 'two', '0.0.0.0', 80);
    assert.equal(await hosts.inTask('one').call('ask', '10.0.1.11', 80), 'two 10.0.1.10');
    for (const host of [1, 2]) {
      const rules = guardOf(host).join();
      assert.match(rules, /udp dport 5789 .*@nodes4 drop/);
      assert.doesNotMatch(rules, /4789/);
      assert.deepEqual(await hosts.daemon(host).call('reconcile'), []);
    }
  });

  it('that of encrypted networks is another one in any case', () => {
    assert.deepEqual(vxlanPorts(0), { plain: 4789, encrypted: 4790 });
    assert.deepEqual(vxlanPorts(5789), { plain: 5789, encrypted: 4790 });
    assert.deepEqual(vxlanPorts(4790), { plain: 4790, encrypted: 4789 });
  });
});
