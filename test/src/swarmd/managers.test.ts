/** Several managers in real daemons: joining, promotion and demotion, dying at every step, coming back. */
import assert from 'node:assert/strict';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
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
      const found = nodes.filter(({ managerStatus }) => managerStatus?.reachable === true && !managerStatus.learner);
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

  it('all are killed and come back with what was acknowledged', async () => {
    const members = await cluster('one', 'two', 'three');
    const [one, two] = members;
    assert.ok(one !== undefined && two !== undefined);
    await one.write('before');
    await Promise.all(members.map((each) => each.kill()));
    await Promise.all(members.map((each) => each.start()));
    await voters(two, ['one', 'two', 'three']);
    assert.deepEqual(await two.labels(), ['before']);
    await two.write('after');
    assert.deepEqual(await one.labels(), ['after', 'before']);
  });

  it('the leader stops in order: no write at another waits for an election', async () => {
    const members = await cluster('one', 'two', 'three');
    const leader = await leaderOf(members[1] ?? assert.fail());
    const other = members.find((each) => each !== leader) ?? assert.fail();
    let longest = 0;
    let stopped = false;
    const writing = (async () => {
      for (let n = 0; !stopped; n++) {
        const start = performance.now();
        await other.write(`w${n}`);
        longest = Math.max(longest, performance.now() - start);
      }
    })();
    await new Promise((resolve) => setTimeout(resolve, 500));
    await leader.stop();
    await new Promise((resolve) => setTimeout(resolve, 500));
    stopped = true;
    await writing;
    console.log(`      longest write ${Math.round(longest)} ms`);
    assert.ok(longest < 1000, `the longest write took ${longest} ms`);
  });

  it('a manager is demoted while it runs, and promoted again', async () => {
    const members = await cluster('one', 'two', 'three');
    const [one, , three] = members;
    assert.ok(one !== undefined && three !== undefined);
    const { pid } = three;
    await one.setRole('three', WORKER);
    await voters(one, ['one', 'two']);
    await readyNode(one, 'three', WORKER);
    await until('three to have followed', SOON_MS, async () => {
      assert.equal((await three.info()).role, WORKER);
      assert.equal(await three.has('raft'), false);
      assert.equal(await three.has('raft.key'), false);
    });
    await assert.rejects(three.nodes(), /not a swarm manager/);
    await one.setRole('three', MANAGER);
    await voters(one, ['one', 'two', 'three']);
    await readyNode(one, 'three', MANAGER);
    await until('three to answer', SOON_MS, () => three.write('again'));
    assert.equal(three.pid, pid);
  });

  it('the leader is demoted, of three and of two', async () => {
    const members = await cluster('one', 'two', 'three');
    let names = ['one', 'two', 'three'];
    for (let round = 0; round < 2; round++) {
      const seenBy = members.find((each) => names.includes(each.name)) ?? assert.fail();
      const leader = await leaderOf(seenBy);
      await seenBy.setRole(leader.name, WORKER);
      names = names.filter((name) => name !== leader.name);
      const left = members.find((each) => names.includes(each.name)) ?? assert.fail();
      await voters(left, names);
      await readyNode(left, leader.name, WORKER);
      await left.write(`round${round}`);
    }
    const last = members.find((each) => names.includes(each.name)) ?? assert.fail();
    await assert.rejects(last.setRole(last.name, WORKER), /last manager/);
  });

  it('a worker is promoted, and a manager that is away is demoted: it follows when it is back', async () => {
    const [one, two] = await cluster('one', 'two', 'three');
    assert.ok(one !== undefined && two !== undefined);
    const worker = await daemon('four');
    await worker.join((await one.tokens()).worker, two.address);
    await one.setRole('four', MANAGER);
    await voters(one, ['one', 'two', 'three', 'four']);
    const three = daemons.find(({ name }) => name === 'three') ?? assert.fail();
    await three.kill();
    await one.setRole('three', WORKER);
    await voters(one, ['one', 'two', 'four']);
    await three.start();
    await readyNode(one, 'three', WORKER);
    await until('three to have followed', SOON_MS, async () => {
      assert.equal((await three.info()).role, WORKER);
      assert.equal(await three.has('raft'), false);
    });
  });

  it('managers leave with force: a follower, then the leader', async () => {
    const members = await cluster('one', 'two', 'three');
    const leader = await leaderOf(members[0] ?? assert.fail());
    const [follower, last] = members.filter((each) => each !== leader);
    assert.ok(follower !== undefined && last !== undefined);
    await assert.rejects(follower.leave(), /participating as a manager/);
    await follower.leave(true);
    await voters(last, [leader.name, last.name]);
    const node = await nodeOf(last, follower.name);
    assert.equal(node?.role, WORKER);
    assert.notEqual(node.status?.state, NodeState.READY);
    await leader.leave(true);
    await voters(last, [last.name]);
    await last.write('alone');
    assert.equal((await leader.info()).state, 1);
    assert.deepEqual(await leader.has('raft'), false);
    // It is a host like any other now.
    await leader.join((await last.tokens()).manager, last.address);
    await until('it to be there', SOON_MS, async () => {
      const found = await last.nodes();
      assert.equal(found.filter(({ managerStatus }) => managerStatus !== undefined).length, 2);
    });
  });

  it('one goes on alone after the others are lost, and others can join again', async () => {
    const [one, two, three] = await cluster('one', 'two', 'three');
    assert.ok(one !== undefined && two !== undefined && three !== undefined);
    await one.write('before');
    await two.kill();
    await three.kill();
    await until('the quorum to be missed', SOON_MS, async () => {
      await assert.rejects(one.write('lost'), /manager/);
    });
    const started = performance.now();
    await assert.rejects(one.write('lost'), (error: unknown) => {
      console.log(`      without quorum, after ${Math.round(performance.now() - started)} ms: ${String(error)}`);
      return true;
    });
    assert.ok(performance.now() - started < 2_500);
    await one.init({ forceNewCluster: true, listenAddress: '', advertiseAddress: '' });
    await one.write('after');
    assert.ok((await one.labels()).includes('before'));
    await voters(one, ['one']);
    await two.start();
    await readyNode(one, 'two', WORKER);
    await until('two to have forgotten the log', SOON_MS, async () => assert.equal(await two.has('raft'), false));
    await one.setRole('two', MANAGER);
    await voters(one, ['one', 'two']);
    const four = await daemon('four');
    await four.join((await one.tokens()).manager, one.address);
    await voters(one, ['one', 'two', 'four']);
    await assert.rejects(
      three.start().then(() => three.init({ forceNewCluster: true })),
      /./,
    );
  });

  it('a manager that lost its log says so and how to go on, and harms nobody', async () => {
    const [one, two, three] = await cluster('one', 'two', 'three');
    assert.ok(one !== undefined && two !== undefined && three !== undefined);
    await three.stop();
    await rm(join(three.state, 'raft'), { recursive: true });
    await three.start();
    await until('three to say what is wrong', SOON_MS, async () => {
      const info = await three.info();
      assert.match(info.error, /state directory was lost/);
      await assert.rejects(three.nodes(), /state directory was lost/);
    });
    await one.write('meanwhile');
    await readyNode(one, 'three', MANAGER);
    await one.setRole('three', WORKER);
    await readyNode(one, 'three', WORKER);
    await one.setRole('three', MANAGER);
    await voters(one, ['one', 'two', 'three']);
    await until('three to answer', SOON_MS, async () => assert.deepEqual(await three.labels(), ['meanwhile']));
  });

  it('a manager comes back with another address', async () => {
    const [one, two, three] = await cluster('one', 'two', 'three');
    assert.ok(one !== undefined && two !== undefined && three !== undefined);
    await three.stop();
    const moved = `127.0.0.77:${port}`;
    await three.start('--listen-addr', moved, '--advertise-addr', moved);
    await until('the new address to be known', SOON_MS, async () => {
      const found = await voters(one, ['one', 'two', 'three']);
      const addresses = found.map(({ managerStatus }) => managerStatus?.address);
      assert.ok(addresses.includes(moved), addresses.join());
    });
    await three.write('moved');
    await until('agents to know it', SOON_MS, async () => {
      const { managers } = await one.info();
      assert.ok(managers.some(({ address }) => address === moved));
    });
    // Kept for the next start.
    await three.stop();
    await three.start();
    await voters(one, ['one', 'two', 'three']);
  });

  it('a joining manager that cannot be reached is told so, and joins once it can be', async () => {
    const [one] = await cluster('one');
    assert.ok(one !== undefined);
    const two = await daemon('two');
    const elsewhere = `127.0.0.78:${port}`;
    await assert.rejects(
      two.join((await one.tokens()).manager, one.address, { advertiseAddress: elsewhere }),
      new RegExp(`cannot reach the joining manager at ${elsewhere.replaceAll('.', '\\.')}`),
    );
    assert.match((await two.info()).error, /cannot reach the joining manager/);
    await voters(one, ['one']);
    await two.stop();
    await two.start('--advertise-addr', two.address);
    await voters(one, ['one', 'two']);
  });

  it('one of three that starts alone is ready, and says what is missing', async () => {
    const members = await cluster('one', 'two', 'three');
    const [one, two] = members;
    assert.ok(one !== undefined && two !== undefined);
    await Promise.all(members.map((each) => each.kill()));
    await one.start();
    await assert.rejects(one.nodes(), /2 of 3|managers/);
    await two.start();
    await until('a quorum', SOON_MS, () => one.write('again'));
  });
});
