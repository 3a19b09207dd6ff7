/** Goal: what is wrong with a way between two nodes is seen for what it is. Method: hosts of namespaces, a damaged wire. */
import assert from 'node:assert/strict';
import { ProbeKind } from '#gen/swarm/v1/doctor.ts';
import type { Hosts } from '../overlay/hosts.ts';
import { connectedHosts, drop, narrow, openProbe, probeAll, undrop } from './ways.ts';

const { SMALL, FULL, PARTIAL, LARGE } = ProbeKind;
const ALL = [SMALL, FULL, PARTIAL, LARGE];

function sorted(kinds: readonly ProbeKind[] = []): readonly ProbeKind[] {
  return [...kinds].toSorted((left, right) => left - right);
}

describe('network probe', function () {
  this.timeout(30_000);
  let hosts: Hosts;

  before(async () => {
    hosts = await connectedHosts(3);
  });

  after(() => hosts?.destroy());
  afterEach(() => undrop(hosts));

  const answered = async (): Promise<readonly (readonly (readonly ProbeKind[])[])[]> =>
    (await probeAll(hosts, 3)).map((results) => results.map((one) => sorted(one.answered)));

  it('all kinds come back where all is well, quickly', async () => {
    const began = performance.now();
    const results = (await probeAll(hosts, 3)).flat();
    assert.ok(performance.now() - began < 600, 'nobody waits for the end of the window');
    assert.equal(results.length, 6);
    for (const result of results) {
      assert.deepEqual(sorted(result.answered), ALL, JSON.stringify(result));
      assert.deepEqual(result.damaged, []);
      assert.ok(result.roundTripUs > 0 && result.roundTripUs < 500_000);
      assert.equal(result.largest, 1450);
    }
  });

  it('a blocked port: nothing comes, in the direction that is blocked', async () => {
    await drop(hosts, 'iifname "h1" oifname "h2" udp dport 4789');
    const [one, two] = await probeAll(hosts, 3);
    const toTwo = one?.find(({ peerId }) => peerId === 'node2');
    const toOne = two?.find(({ peerId }) => peerId === 'node1');
    assert.deepEqual([toTwo?.answered, toOne?.answered], [[], []]);
    assert.deepEqual(sorted(toTwo?.heard), ALL, 'host 1 hears host 2');
    assert.deepEqual(toOne?.heard, [], 'host 2 does not hear host 1');
    assert.deepEqual(sorted(one?.find(({ peerId }) => peerId === 'node3')?.answered), ALL);
  });

  it('a wire that carries less: small packets pass, and it is found how large', async () => {
    await narrow(hosts, 2, 1400);
    try {
      const [one] = await probeAll(hosts, 3);
      const [result] = one ?? [];
      // Nothing on this wire cuts stretches of TCP into packets, so those pass.
      assert.deepEqual(sorted(result?.answered.filter((kind) => kind !== LARGE)), [SMALL, PARTIAL]);
      assert.ok((result?.largest ?? 0) > 1150 && (result?.largest ?? 0) <= 1354, `${result?.largest}`);
    } finally {
      await narrow(hosts, 2, 1500);
    }
  });

  it('what is left to the device does not arrive', async () => {
    // The ports of both kinds inside of VXLAN: outer UDP, VXLAN, Ethernet and IP headers lie before them.
    const innerPort = (8 + 8 + 14 + 20 + 2) * 8;
    await drop(hosts, ...[PARTIAL, LARGE].map((kind) => `udp dport 4789 @th,${innerPort},16 ${40_000 + kind}`));
    for (const results of await answered()) for (const kinds of results) assert.deepEqual(kinds, [SMALL, FULL]);
  });

  it('checks of others, and other packets, are no concern of a probe', async () => {
    const probe = openProbe(hosts, 1, 3, Buffer.alloc(16, 1));
    const stranger = openProbe(hosts, 2, 3, Buffer.alloc(16, 2));
    const [result] = await stranger.run(['node1', 'nobody']);
    assert.deepEqual(result?.answered, []);
    assert.ok(result?.sent.includes(SMALL));
    probe.close();
    stranger.close();
  });

  it('a device that carries less than the network thinks is a problem of this node', async () => {
    const probe = openProbe(hosts, 1, 3, Buffer.alloc(16, 1), 3000);
    const [result] = await probe.run(['node2']);
    assert.match(result?.problem ?? '', /EMSGSIZE/);
    probe.close();
  });
});
