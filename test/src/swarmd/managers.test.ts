/** Several managers in real daemons: joining, roles, dying and coming back, going on alone. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { LocalNodeState } from '#gen/swarm/v1/node.ts';
import { NodeRole } from '#gen/swarm/v1/specs.ts';
import { type DaemonProcess, until } from './support/daemon-process.ts';
import { Managers, SOON_MS } from './support/managers.ts';

const { MANAGER, WORKER } = NodeRole;

/** Each group is the life of one swarm: its tests build upon each other. */
function swarm(title: string, tests: (managers: () => Managers) => void): void {
  describe(`managers: ${title}`, function () {
    this.timeout(60_000);
    this.bail(true);
    let managers: Managers;
    let failed = false;
    before(async () => {
      managers = await Managers.create();
    });
    afterEach(function () {
      failed ||= this.currentTest?.state === 'failed';
    });
    after(() => managers.destroy(failed));
    tests(() => managers);
  });
}

const three = ['one', 'two', 'three'];

/** Writes there, one after the other, while something happens. Returns the longest time that a write took, in ms. */
async function writingDuring(host: DaemonProcess, happening: () => Promise<void>): Promise<number> {
  let longestMs = 0;
  let ends = false;
  const writing = (async () => {
    for (let count = 0; !ends; count++) {
      const startMs = performance.now();
      await host.write(`w${count}`);
      longestMs = Math.max(longestMs, performance.now() - startMs);
    }
  })();
  await happening();
  ends = true;
  await writing;
  return longestMs;
}

swarm('three that come and go', (managers) => {
  it('join with a token, and what is written on any of them is on all', async () => {
    const [one, two, third] = await managers().cluster(...three);
    assert.ok(one !== undefined && two !== undefined && third !== undefined);
    await two.write('by-two');
    await third.write('by-three');
    for (const each of [one, two, third]) assert.deepEqual(await each.labels(), ['by-three', 'by-two']);
    for (const name of three) await managers().ready(one, name, MANAGER);
    await until('three to know its managers', SOON_MS, async () => {
      const info = await third.info();
      assert.equal(info.managers.length, 3);
      assert.equal(info.connected, true);
      assert.equal(info.error, '');
    });
  });

  it('stop in order: no write at another manager waits for an election', async () => {
    const leader = await managers().leader(managers().named('one'));
    const other = managers().daemons.find((each) => each !== leader);
    assert.ok(other !== undefined);
    await other.write('warm');
    const longestMs = await writingDuring(other, () => leader.stop());
    // An election takes a second; the hand-over itself is held to 300 ms on the lab, where nothing else runs.
    assert.ok(longestMs < 900, `the longest write took ${longestMs} ms`);
    await leader.start();
    await managers().voters(other, three);
  });

  it('are all killed and come back with what was acknowledged; one alone says what is missing', async () => {
    const [one, two, third] = managers().daemons;
    assert.ok(one !== undefined && two !== undefined && third !== undefined);
    await one.write('before');
    await Promise.all(managers().daemons.map((each) => each.kill()));
    await one.start();
    await until('one to miss its quorum', SOON_MS, () => assert.rejects(one.nodes(), /2 of 3 managers/));
    await Promise.all([two.start(), third.start()]);
    await managers().voters(two, three);
    assert.ok((await two.labels()).includes('before'));
    await third.write('after');
  });

  it('move to another address', async () => {
    const [one, , third] = managers().daemons;
    assert.ok(one !== undefined && third !== undefined);
    await third.stop();
    const moved = `127.0.0.77:${managers().port}`;
    await third.start('--listen-addr', moved, '--advertise-addr', moved);
    await until('the new address to be known', SOON_MS, async () => {
      const found = await managers().voters(one, three);
      assert.ok(found.some(({ managerStatus }) => managerStatus?.address === moved));
      assert.ok((await one.info()).managers.some(({ address }) => address === moved));
    });
    // Kept for the next start.
    await third.stop();
    await third.start();
    await managers().voters(one, three);
    await third.write('moved');
  });

  it('lose their log: one says so and how to go on, harms nobody, and joins anew', async () => {
    const [one, , third] = managers().daemons;
    assert.ok(one !== undefined && third !== undefined);
    await third.stop();
    await rm(join(third.state, 'raft'), { recursive: true });
    await third.start();
    await until('three to say what is wrong', SOON_MS, async () => {
      assert.match((await third.info()).error, /its state directory was lost/);
      await assert.rejects(third.nodes(), /its state directory was lost/);
    });
    await one.write('meanwhile');
    await managers().ready(one, 'three', MANAGER);
    await one.setRole('three', WORKER);
    await managers().ready(one, 'three', WORKER);
    await one.setRole('three', MANAGER);
    await managers().voters(one, three);
    await until('three to answer', SOON_MS, async () => assert.ok((await third.labels()).includes('meanwhile')));
  });
});

swarm('roles', (managers) => {
  it('a worker is promoted and demoted while it runs', async () => {
    const [one] = await managers().cluster('one', 'two');
    assert.ok(one !== undefined);
    const worker = await managers().daemon('three');
    await worker.join((await one.tokens()).worker, managers().named('two').address);
    const { pid } = worker;
    for (let round = 0; round < 2; round++) {
      await one.setRole('three', MANAGER);
      await managers().voters(one, three);
      await managers().follows(worker, MANAGER);
      await managers().ready(one, 'three', MANAGER);
      await worker.write(`round${round}`);
      await one.setRole('three', WORKER);
      await managers().voters(one, ['one', 'two']);
      await managers().follows(worker, WORKER);
      await managers().ready(one, 'three', WORKER);
    }
    assert.equal(worker.pid, pid);
    await one.setRole('three', MANAGER);
    await managers().voters(one, three);
  });

  it('a manager that is away is demoted, and follows when it is back', async () => {
    const one = managers().named('one');
    const third = managers().named('three');
    await third.kill();
    await one.setRole('three', WORKER);
    await managers().voters(one, ['one', 'two']);
    await third.start();
    await managers().follows(third, WORKER);
    await managers().ready(one, 'three', WORKER);
    await one.setRole('three', MANAGER);
    await managers().voters(one, three);
  });

  it('the leader is demoted, of three and of two; the last manager is not', async () => {
    let names = three;
    while (names.length > 1) {
      const leader = await managers().leader(managers().named(names[0] ?? ''));
      names = names.filter((name) => name !== leader.name);
      const staying = managers().named(names[0] ?? '');
      await leader.setRole(leader.name, WORKER);
      await managers().voters(staying, names);
      await managers().follows(leader, WORKER);
      await staying.write(`without-${leader.name}`);
    }
    const last = managers().named(names[0] ?? '');
    await assert.rejects(last.setRole(last.name, WORKER), /last manager/);
    for (const name of three) if (name !== last.name) await last.setRole(name, MANAGER);
    await managers().voters(last, three);
  });

  it('managers leave: a follower, then the leader', async () => {
    const leader = await managers().leader(managers().named('one'));
    const [follower, last] = managers().daemons.filter((each) => each !== leader);
    assert.ok(follower !== undefined && last !== undefined);
    await assert.rejects(follower.leave(), /participating as a manager/);
    await follower.leave(true);
    await managers().voters(last, [leader.name, last.name]);
    assert.equal(await managers().node(last, follower.name), undefined, 'no ghost of it stays');
    await leader.leave(true);
    await managers().voters(last, [last.name]);
    await last.write('alone');
    assert.equal((await leader.info()).state, LocalNodeState.INACTIVE);
    assert.equal(await leader.has('raft'), false);
    // It is a host like any other now.
    await leader.join((await last.tokens()).manager, last.address);
    await managers().voters(last, [leader.name, last.name]);
    await leader.leave(true);
    await last.leave(true);
    assert.equal((await last.info()).state, LocalNodeState.INACTIVE);
  });
});

swarm('one that goes on alone', (managers) => {
  const forced = { forceNewCluster: true, listenAddress: '', advertiseAddress: '' };

  it('is not what a worker, a host in no swarm, or a manager with a quorum can do', async () => {
    const host = await managers().daemon('four');
    await assert.rejects(host.init(forced), /not part of a swarm/);
    const [one] = await managers().cluster(...three);
    assert.ok(one !== undefined);
    await host.join((await one.tokens()).worker, one.address);
    await assert.rejects(host.init(forced), /is a worker/);
    for (const name of three) await assert.rejects(managers().named(name).init(forced), /has a leader and a quorum/);
    await one.write('before');
    await managers().voters(one, three);
  });

  it('is not what a manager can do that does not serve, as long as the others do', async () => {
    const [one, , third] = three.map((name) => managers().named(name));
    assert.ok(one !== undefined && third !== undefined);
    await third.stop();
    // Another program has its port.
    const [host, port] = third.address.split(':');
    const blocker = createServer().listen(Number(port), host);
    await once(blocker, 'listening');
    try {
      await third.start();
      await until('three to be in trouble', SOON_MS, async () => assert.match((await third.info()).error, /in use/));
      await assert.rejects(third.init(forced), /has a leader and a quorum/);
    } finally {
      blocker.close();
    }
    await managers().voters(one, three);
    await third.stop();
    const level = await one.clusterLevel();
    third.featureLevel = level - 1;
    await third.start();
    await until('three to be too old', SOON_MS, async () => assert.match((await third.info()).error, /feature level/));
    await assert.rejects(third.init(forced), /understands/);
    await third.stop();
    third.featureLevel = undefined;
    await third.start();
    await managers().voters(one, three);
    assert.equal(await third.has('force-new-cluster'), false);
  });

  it('keeps the state, and makes workers of those that come back', async () => {
    const [one, two, third] = three.map((name) => managers().named(name));
    assert.ok(one !== undefined && two !== undefined && third !== undefined);
    await Promise.all([two.kill(), third.kill()]);
    await until('the quorum to be missed', SOON_MS, () => assert.rejects(one.write('lost'), /2 of 3 managers/));
    await one.init(forced);
    await one.write('after');
    assert.ok((await one.labels()).includes('before'));
    await managers().voters(one, ['one']);
    await managers().ready(one, 'four', WORKER);
    await two.start();
    await managers().follows(two, WORKER);
    await managers().ready(one, 'two', WORKER);
  });

  it('takes new managers, a second and a third', async () => {
    const one = managers().named('one');
    await one.setRole('two', MANAGER);
    await managers().voters(one, ['one', 'two']);
    const five = await managers().daemon('five');
    await five.join((await one.tokens()).manager, one.address);
    await managers().voters(one, ['one', 'two', 'five']);
    await five.write('by-five');
    const third = managers().named('three');
    await third.start();
    await managers().follows(third, WORKER);
    await managers().voters(five, ['one', 'two', 'five']);
  });
});

swarm('a joiner that cannot be reached', (managers) => {
  it('is told so, and joins once it can be', async () => {
    const [one] = await managers().cluster('one');
    assert.ok(one !== undefined);
    const two = await managers().daemon('two');
    const elsewhere = `127.0.0.78:${managers().port}`;
    await assert.rejects(
      two.join((await one.tokens()).manager, one.address, { advertiseAddress: elsewhere }),
      new RegExp(`cannot reach the joining manager at ${elsewhere.replaceAll('.', '\\.')}`),
    );
    assert.match((await two.info()).error, /cannot reach the joining manager/);
    await managers().voters(one, ['one']);
    await two.stop();
    await two.start('--advertise-addr', two.address);
    await managers().voters(one, ['one', 'two']);
  });

  it('is known by the address that it comes from when it names none', async () => {
    const one = managers().named('one');
    const three_ = await managers().daemon('three');
    await three_.join((await one.tokens()).manager, one.address, { advertiseAddress: '' });
    await managers().voters(one, three);
  });
});

swarm('of two releases', (managers) => {
  it('write nothing new before all have it, and nothing old may join or come back after', async () => {
    const [one, two] = await managers().cluster('one', 'two');
    assert.ok(one !== undefined && two !== undefined);
    const level = await one.clusterLevel();
    const older = await managers().daemon('three');
    await older.stop();
    older.featureLevel = level - 1;
    await older.start();
    await assert.rejects(older.join((await one.tokens()).manager, one.address), /feature level/);
    await older.leave(true);
    for (const each of [one, two]) {
      assert.equal(await one.clusterLevel(), level);
      await each.stop();
      each.featureLevel = level + 1;
      await each.start();
      await managers().voters(one, ['one', 'two']);
    }
    await until('the level to be raised', SOON_MS, async () => assert.equal(await one.clusterLevel(), level + 1));
    await two.stop();
    two.featureLevel = level;
    await two.start();
    await until('two to say why it is no manager', SOON_MS, async () => {
      assert.match((await two.info()).error, /feature level/);
      await assert.rejects(two.nodes(), /feature level/);
    });
    await two.stop();
    two.featureLevel = level + 1;
    await two.start();
    await managers().voters(one, ['one', 'two']);
  });
});
