/**
 * Goal: whatever somebody deletes of a node's networks is put back by the next comparison, wherever it is and whatever
 * else is missing. Method: hosts with all that a daemon has for networks; what the kernel holds in the host's, the
 * gateway's and a router's namespace is listed, some of it is deleted at random, and the lists are compared.
 */
import assert from 'node:assert/strict';
import { instanceNames } from '#agent/network/instance.ts';
import { type Random, randomInt, SeededRandom } from '#common/random.ts';
import { ClusterHosts, hostAddress, INGRESS, STRANGER_ADDRESS } from '#test/agent/network/cluster/cluster-hosts.ts';
import type { NamespaceProcess } from '#test/agent/network/fixture.ts';
import { difference, lines, type Place, run, stateOf } from '#test/support/network-state.ts';

const ROUNDS = Number(process.env['STARLING_DAMAGES'] ?? 60);
/** So many things are gone at once. */
const AT_ONCE = 4;
const RED = { id: 'red', vni: 4097, subnet: '10.0.1.0/24' } as const;
const KERNEL_TABLES = ['0', '32766', '32767'];

interface Damage {
  readonly path: string;
  readonly command: readonly string[];
}

/** One command for each thing that can be deleted. */
function damages({ path, owns }: Place): readonly Damage[] {
  const found: string[] = [];
  for (const family of ['-4 ', '-6 ']) {
    for (const line of lines(path, `ip ${family}route show table all`).filter(owns))
      if (!line.includes('proto kernel') && !line.includes('fe80::/64'))
        found.push(`ip ${family}route del ${line.replace(/ (linkdown|pref \w+|metric \d+)/g, '')}`);
    for (const line of lines(path, `ip ${family}rule`).filter(owns)) {
      const [priority = '', rule = ''] = line.split(':\t');
      if (!KERNEL_TABLES.includes(priority))
        found.push(`ip ${family}rule del pref ${priority} ${rule}`.replace('[detached] ', ''));
    }
    for (const line of lines(path, `ip ${family}neigh show nud permanent`).filter(owns))
      found.push(`ip ${family}neigh del ${line.split(' ').slice(0, 3).join(' ')}`);
  }
  for (const line of lines(path, 'ip -o link').filter(owns)) {
    const name = /^\d+: ([^:@]+)/.exec(line)?.[1] ?? 'lo';
    if (name !== 'lo' && name !== 'eth0') found.push(`ip link del ${name}`, `ip link set ${name} down`);
  }
  for (const line of lines(path, 'nft list tables')) found.push(`nft delete ${line}`, 'nft flush ruleset');
  for (const line of lines(path, 'nft list chains'))
    if (line.startsWith('table')) found.push(`nft flush ${line.replace(' {', '')}`);
  return found.map((command) => ({ path, command: command.trim().split(/\s+/) }));
}

describe('long: random damage of a node’s networks', function () {
  this.timeout(600_000);
  let hosts: ClusterHosts;
  let stranger: NamespaceProcess;
  let near: NamespaceProcess;
  let places: readonly Place[];

  before(async () => {
    hosts = await ClusterHosts.make(2, [RED]);
    hosts.services = [
      { id: 'web', addresses: { red: '10.0.1.2' }, ports: [{ publishedPort: 8080, targetPort: 80 }] },
      { id: 'own', ports: [{ publishedPort: 8081, targetPort: 80 }] },
    ];
    await hosts.add({ id: 'near', host: 1, service: 'own', networks: { red: '10.0.1.10', [INGRESS]: '10.0.0.10' } });
    await hosts.add({ id: 'far', host: 2, service: 'web', networks: { red: '10.0.1.11', [INGRESS]: '10.0.0.11' } });
    stranger = hosts.process(hosts.hostPath(0));
    near = hosts.inTask('near');
    await near.call('serve', 'near', '0.0.0.0', 80);
    await hosts.inTask('far').call('serve', 'far', '0.0.0.0', 80);
    await stranger.call('serve', 'outside', '0.0.0.0', 80);
    const names = instanceNames(hosts.instance(1));
    const ours = new RegExp(`${names.hostLink}|lookup ${names.routingTable}|table ${names.routingTable}`);
    const network = `${hosts.runDirectory(1)}/network`;
    places = [
      { path: hosts.hostPath(1), owns: (line) => ours.test(line) },
      // What the kernel keeps ready for a task that is to come is nobody's yet.
      { path: `${network}/ns/gateway`, owns: (line) => !/\bg[2-9]\b/.test(line) },
      { path: `${network}/overlay/ns/net-${RED.vni}`, owns: () => true },
    ];
    await assertAllWell();
  });

  after(() => hosts?.destroy());

  async function assertAllWell(): Promise<void> {
    assert.equal(await near.call('ask', '10.0.1.2', 80), 'far 10.0.1.10');
    assert.equal(await near.call('ask', STRANGER_ADDRESS, 80), `outside ${hostAddress(1)}`);
    for (const port of [8080, 8081])
      assert.match(await stranger.call('ask', hostAddress(1), port), /^(near|far) 192\.0\.2\.100$/);
    assert.deepEqual(await near.call('resolveName', 'web'), ['10.0.1.2']);
  }

  function choose(random: Random): readonly Damage[] {
    return Array.from({ length: AT_ONCE }, () => {
      const place = places[randomInt(random, places.length)];
      assert.ok(place !== undefined);
      const all = damages(place);
      const one = all[randomInt(random, all.length)];
      assert.ok(one !== undefined);
      return one;
    });
  }

  it(`${ROUNDS} times ${AT_ONCE} things`, async () => {
    const seed = Number(process.env['STARLING_SEED'] ?? Math.floor(Math.random() * 2 ** 32));
    const random = new SeededRandom(seed);
    await hosts.daemon(1).call('reconcile');
    const whole = places.map(stateOf).join('\n\n');
    let effective = 0;
    for (let round = 0; round < ROUNDS; round++) {
      const chosen = choose(random);
      const what = `seed ${seed}, round ${round}: ${chosen.map((one) => one.command.join(' ')).join('; ')}`;
      for (const { path, command } of chosen)
        try {
          run(path, command);
          effective++;
        } catch {
          // One may take away what another would damage.
        }
      await hosts.daemon(1).call('reconcile');
      const state = places.map(stateOf).join('\n\n');
      assert.ok(state === whole, `${what}\n${difference(whole, state) || 'in another order'}`);
      await assertAllWell();
    }
    assert.ok(effective > ROUNDS, `only ${effective} damages`);
  });
});
