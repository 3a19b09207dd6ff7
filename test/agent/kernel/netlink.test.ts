/**
 * Goal: batches of netlink requests are answered one by one, and a refusal says what was tried and why. Method: real
 * devices, addresses and routes in two namespaces of the test's own.
 */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { hasErrno } from '#agent/kernel/libc.ts';
import { NETLINK_NETFILTER, NetlinkSocket } from '#agent/kernel/netlink.ts';
import { addAddress, listAddresses } from '#agent/kernel/netlink-address.ts';
import {
  attributeText,
  attributeU32,
  message,
  parseAttributes,
  parseMessages,
  textOf,
} from '#agent/kernel/netlink-codec.ts';
import { forgetFlowsTo } from '#agent/kernel/netlink-conntrack.ts';
import {
  addBridge,
  addVeth,
  deleteLink,
  findLink,
  listLinks,
  setLinkDown,
  setLinkMaster,
  setLinkUp,
} from '#agent/kernel/netlink-link.ts';
import { replaceNeighbour } from '#agent/kernel/netlink-neighbour.ts';
import { deleteRoute, listRoutes, replaceRoute } from '#agent/kernel/netlink-route.ts';
import { addRule, deleteRule, listRules } from '#agent/kernel/netlink-rule.ts';
import { createNetworkNamespace, type NetworkNamespace, removeNetworkNamespace } from '#agent/kernel/netns.ts';
import { SwarmError } from '#common/errors.ts';

describe('kernel: netlink', () => {
  let directory: string;
  let near: NetworkNamespace;
  let far: NetworkNamespace;
  let here: NetlinkSocket;
  let there: NetlinkSocket;

  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), 'starling-netlink-'));
    near = createNetworkNamespace(join(directory, 'near'));
    far = createNetworkNamespace(join(directory, 'far'));
    here = NetlinkSocket.open(near);
    there = NetlinkSocket.open(far);
  });

  afterEach(async () => {
    await here.close();
    await there.close();
    near.close();
    far.close();
    for (const name of ['near', 'far']) removeNetworkNamespace(join(directory, name));
    rmSync(directory, { recursive: true });
  });

  it('makes a cable between two namespaces with everything on it in one batch', async () => {
    await here.execute([
      addVeth(
        { name: 'a', index: 2, mtu: 1400, linkLayerAddress: '02:00:00:00:00:01' },
        { name: 'b', index: 7, mtu: 1400 },
        far.descriptor,
      ),
      addAddress(2, '10.1.0.1/24'),
      replaceNeighbour(2, '10.1.0.9', '02:00:00:00:00:09'),
      replaceRoute({ destination: 'default', linkIndex: 2, gateway: '169.254.1.1', preferredSource: '10.1.0.1' }),
      replaceRoute({ destination: '10.2.0.0/16', linkIndex: 2, table: 0x53000001 }),
    ]);
    await there.execute([setLinkUp('b')]);
    const { kindData, ...found } = (await findLink(here, 'a')) ?? { kindData: undefined };
    assert.equal(kindData, undefined, 'a veth says nothing of itself');
    assert.deepEqual(found, {
      index: 2,
      name: 'a',
      up: true,
      mtu: 1400,
      kind: 'veth',
      loopback: false,
      linkLayerAddress: '02:00:00:00:00:01',
    });
    assert.equal((await findLink(there, 'b'))?.index, 7);
    assert.deepEqual(await listAddresses(here), [
      { linkIndex: 2, address: '10.1.0.1', prefixLength: 24, kernelMade: false },
    ]);
    const routes = await listRoutes(here);
    assert.ok(routes.some((route) => route.destination === 'default' && route.gateway === '169.254.1.1'));
    assert.ok(routes.some((route) => route.destination === '10.2.0.0/16' && route.table === 0x53000001));
    assert.ok(routes.some((route) => route.destination === '10.1.0.1/32' && route.local));

    await here.execute([
      deleteRoute('10.2.0.0/16', 0x53000001),
      deleteRoute('10.2.0.0/16', 0x53000001),
      setLinkDown('a'),
    ]);
    assert.equal((await findLink(here, 'a'))?.up, false);
    assert.ok(!(await listRoutes(here)).some((route) => route.destination === '10.2.0.0/16'));
    await here.execute([deleteLink('a'), deleteLink('a')]);
    assert.deepEqual(
      (await listLinks(there)).map((link) => link.name),
      ['lo'],
      'the far end went too',
    );
  });

  it('joins a device to a bridge', async () => {
    await here.execute([addBridge('br'), addVeth({ name: 'a', mtu: 1500 }, { name: 'b', mtu: 1500 }, far.descriptor)]);
    const bridge = await findLink(here, 'br');
    assert.equal(bridge?.kind, 'bridge');
    await here.execute([setLinkMaster('a', bridge?.index ?? 0)]);
    assert.equal((await findLink(here, 'a'))?.up, true, 'joining leaves the state alone');
  });

  it('adds, lists and deletes policy rules', async () => {
    const byMark = { priority: 100, table: 7, mark: { value: 0x1000, mask: 0x1000 } };
    const byDestination = { priority: 100, table: 7, destination: '10.0.0.0/8', ipProtocol: 1 };
    await here.execute([addRule(byMark), addRule(byDestination), addRule(byMark)]);
    assert.deepEqual(
      (await listRules(here)).filter((rule) => rule.table === 7),
      [byMark, byDestination],
    );
    await here.execute([deleteRule(byMark), deleteRule(byMark), deleteRule(byDestination)]);
    assert.deepEqual(
      (await listRules(here)).filter((rule) => rule.table === 7),
      [],
    );
  });

  it('says what it tried and why it was refused, and tries the rest of the batch', async () => {
    const batch = [setLinkUp(1), addAddress(99, '10.0.0.1/8'), addAddress(1, '10.0.0.2/32')];
    await assert.rejects(here.execute(batch), (error) => {
      assert.ok(error instanceof SwarmError);
      assert.equal(error.reason, 'network-failed');
      assert.match(error.message, /^cannot add address 10\.0\.0\.1\/8 to device 99: .*ENODEV/);
      assert.ok(hasErrno(error.cause, 'ENODEV'));
      return true;
    });
    assert.ok((await listAddresses(here)).some((one) => one.address === '10.0.0.2'));
  });

  it('takes more requests than one batch holds, and gives each its own answer', async () => {
    const requests = Array.from({ length: 1000 }, (_, index) =>
      addAddress(index % 10 === 0 ? 99 : 1, `10.3.${index >>> 8}.${index & 255}/32`),
    );
    const outcomes = await here.tryExecute(requests);
    assert.equal(outcomes.length, requests.length);
    outcomes.forEach((outcome, index) => assert.equal(outcome?.code, index % 10 === 0 ? 'ENODEV' : undefined));
    assert.equal((await listAddresses(here)).length, 900, 'a dump of many datagrams');
  });

  it('serves callers at the same time, each with its own answers', async () => {
    await here.execute([setLinkUp(1)]);
    const work = Array.from({ length: 20 }, async (_, index) => {
      await here.execute([addAddress(1, `10.4.0.${index + 1}/32`)]);
      return (await listAddresses(here)).some((one) => one.address === `10.4.0.${index + 1}`);
    });
    assert.deepEqual(new Set(await Promise.all(work)), new Set([true]));
  });

  it('takes "no such connection" of connection tracking for done', async () => {
    const tracking = NetlinkSocket.open(near, NETLINK_NETFILTER);
    await tracking.execute([forgetFlowsTo('10.255.0.1')]);
    await tracking.close();
  });

  it('is not used after it was closed', async () => {
    const socket = NetlinkSocket.open(near);
    await socket.close();
    await socket.close();
    await assert.rejects(socket.execute([setLinkUp(1)]), /after it was closed/);
  });

  it('reads truncated messages without going astray', () => {
    const whole = message(16, 5, 7, [attributeText(3, 'eth0'), attributeU32(4, 1500)]);
    for (let length = 0; length < whole.length; length++) {
      for (const parsed of parseMessages(whole.subarray(0, length))) assert.fail(`parsed ${parsed.type} of ${length}`);
      parseAttributes(whole.subarray(16, length));
    }
    const [parsed] = parseMessages(Buffer.concat([whole, whole]));
    assert.deepEqual([parsed?.type, parsed?.flags, parsed?.sequence], [16, 5, 7]);
    assert.equal(textOf(parseAttributes(parsed?.body ?? Buffer.alloc(0)).get(3)), 'eth0');
  });
});
