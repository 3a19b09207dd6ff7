/** Several managers in real daemons: joining, promotion and demotion, dying at every step, coming back. */
import assert from 'node:assert/strict';
import { type Node, NodeState } from '#gen/swarm/v1/objects.ts';
import { NodeRole } from '#gen/swarm/v1/specs.ts';
import { DaemonProcess, freePort, until } from './support/daemon-process.ts';

const { MANAGER, WORKER } = NodeRole;

/** Longer than an election on a busy machine. */
const SOON_MS = 20_000;

describe('managers', function () {
  this.timeout(120_000);
  let daemons: DaemonProcess[] = [];
  let port = 0;

  const daemon = async (name: string): Promise<DaemonProcess> => {
    const one = await DaemonProcess.create({ name, host: `127.0.0.${daemons.length + 1}`, port });
    daemons.push(one);
    await one.start();
    return one;
  };

  /** So many managers that all are voters, the first of them the one that began. */
  const cluster = async (...names: string[]): Promise<readonly DaemonProcess[]> => {
    const members: DaemonProcess[] = [];
    for (const name of names) {
      const one = await daemon(name);
      const [first] = members;
      if (first === undefined) await one.init();
      else await one.join((await first.tokens()).manager, first.address);
      members.push(one);
    }
    const [first] = members;
    assert.ok(first !== undefined);
    await voters(first, names);
    return members;
  };

  /** Waits until exactly these are voting managers that can be reached, as seen there. */
  const voters = (seenBy: DaemonProcess, names: readonly string[]): Promise<readonly Node[]> =>
    until(`${names.join(', ')} to be the managers`, SOON_MS, async () => {
      const nodes = await seenBy.nodes();
      const found = nodes.filter(
        ({ managerStatus }) => managerStatus?.reachable === true && !managerStatus.learner,
      );
      assert.deepEqual(found.map(({ description }) => description?.hostname ?? '').sort(), [...names].sort());
      assert.equal(nodes.filter(({ managerStatus }) => managerStatus !== undefined).length, names.length);
      assert.equal(found.filter(({ managerStatus }) => managerStatus?.leader).length, 1);
      return found;
    });

  const leaderOf = async (seenBy: DaemonProcess): Promise<DaemonProcess> => {
    const nodes = await seenBy.nodes();
    const name = nodes.find(({ managerStatus }) => managerStatus?.leader)?.description?.hostname;
    const found = daemons.find((one) => one.name === name);
    assert.ok(found !== undefined, 'somebody leads');
    return found;
  };

  const nodeOf = async (seenBy: DaemonProcess, name: string): Promise<Node | undefined> =>
    (await seenBy.nodes()).find(({ description }) => description?.hostname === name);

  const readyNode = (seenBy: DaemonProcess, name: string, role: NodeRole): Promise<void> =>
    until(`${name} to be ready in its role`, SOON_MS, async () => {
      const node = await nodeOf(seenBy, name);
      assert.equal(node?.role, role);
      assert.equal(node.status?.state, NodeState.READY);
    });

  beforeEach(async () => {
    daemons = [];
    port = await freePort();
  });

  afterEach(async function () {
    if (this.currentTest?.state === 'failed')
      for (const one of daemons) console.error(`--- ${one.name}\n${one.output.split('\n').slice(-60).join('\n')}`);
    await Promise.all(daemons.map((one) => one.destroy()));
  });

  it('three join with a token, and what is written on any of them is on all', async () => {
    const [one, two, three] = await cluster('one', 'two', 'three');
    assert.ok(one !== undefined && two !== undefined && three !== undefined);
    await two.write('by-two');
    await three.write('by-three');
    for (const each of [one, two, three]) assert.deepEqual(await each.labels(), ['by-three', 'by-two']);
    for (const name of ['one', 'two', 'three']) await readyNode(one, name, MANAGER);
    const info = await three.info();
    assert.equal(info.managers.length, 3);
    assert.equal(info.connected, true);
  });
});
