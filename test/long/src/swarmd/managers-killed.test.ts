/** Daemons that are killed in the middle of joining, promotion, demotion and forcing: the next start finishes it. */
import assert from 'node:assert/strict';
import { LocalNodeState } from '#gen/swarm/v1/node.ts';
import { NodeRole } from '#gen/swarm/v1/specs.ts';
import { until } from '#test/src/swarmd/support/daemon-process.ts';
import { Managers, SOON_MS } from '#test/src/swarmd/support/managers.ts';

const { MANAGER, WORKER } = NodeRole;
const ROUNDS = Number(process.env['STARLING_KILL_ROUNDS'] ?? '6');

describe('managers that are killed in the middle', function () {
  this.timeout(60_000 + ROUNDS * 60_000);
  let managers: Managers;

  beforeEach(async () => {
    managers = await Managers.create();
  });
  afterEach(async function () {
    await managers.destroy(this.currentTest?.state === 'failed');
  });

  /** Later and later: every step of what takes some hundred milliseconds is met. */
  const momentMs = (round: number): number => 20 + ((round * 137) % 700);
  // The moment of the kill is what is tested: no event stands for it.
  const moment = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms)); // is what varies

  it('while it joins', async () => {
    const [one] = await managers.cluster('one', 'two');
    assert.ok(one !== undefined);
    for (let round = 0; round < ROUNDS; round++) {
      const name = `new${round}`;
      const joiner = await managers.daemon(name);
      const { manager } = await one.tokens();
      const joining = joiner.join(manager, one.address).catch(() => {});
      await moment(momentMs(round));
      await joiner.kill();
      await joining;
      await joiner.start();
      if ((await joiner.info()).state === LocalNodeState.INACTIVE) await joiner.join(manager, one.address);
      await managers.voters(one, ['one', 'two', name]);
      await joiner.write(`round${round}`);
      await joiner.leave(true);
      await managers.voters(one, ['one', 'two']);
    }
  });

  it('while it is promoted and demoted', async () => {
    const [one] = await managers.cluster('one', 'two', 'three');
    assert.ok(one !== undefined);
    const three = managers.named('three');
    for (let round = 0; round < ROUNDS; round++)
      for (const role of [WORKER, MANAGER]) {
        await one.setRole('three', role);
        await moment(momentMs(round) / 4);
        await three.kill();
        await three.start();
        await managers.voters(one, role === MANAGER ? ['one', 'two', 'three'] : ['one', 'two']);
        await managers.ready(one, 'three', role);
        await managers.follows(three, role);
      }
  });

  it('the leader, while it is demoted and another takes over', async () => {
    const members = await managers.cluster('one', 'two', 'three');
    for (let round = 0; round < ROUNDS; round++) {
      const leader = await managers.leader(managers.named('one'));
      const others = members.filter((each) => each !== leader);
      const [other] = others;
      assert.ok(other !== undefined);
      await other.setRole(leader.name, WORKER);
      await moment(momentMs(round) / 8);
      await leader.kill();
      await leader.start();
      await managers.voters(
        other,
        others.map(({ name }) => name),
      );
      await managers.follows(leader, WORKER);
      await other.setRole(leader.name, MANAGER);
      await managers.voters(
        other,
        members.map(({ name }) => name),
      );
    }
  });

  it('while it is made the only one', async () => {
    for (let round = 0; round < ROUNDS; round++) {
      const [one, ...others] = await managers.cluster('one', 'two', 'three');
      assert.ok(one !== undefined);
      await one.write('before');
      await Promise.all(others.map((each) => each.kill()));
      await until('the quorum to be missed', SOON_MS, () => assert.rejects(one.write('lost'), /2 of 3 managers/));
      const forcing = one.init({ forceNewCluster: true, listenAddress: '', advertiseAddress: '' }).catch(() => {});
      await moment(momentMs(round) / 8);
      await one.kill();
      await forcing;
      await one.start();
      const alone = await one.write('alone').then(
        () => true,
        () => false,
      );
      // Not begun: nothing has changed, and it can be asked for again.
      if (!alone) await one.init({ forceNewCluster: true, listenAddress: '', advertiseAddress: '' });
      await one.write('after');
      assert.ok((await one.labels()).includes('before'));
      assert.equal(await one.has('force-new-cluster'), false);
      await managers.voters(one, ['one']);
      await Promise.all(others.map((each) => each.start()));
      for (const each of others) await managers.follows(each, WORKER);
      await managers.destroy(false);
      managers = await Managers.create();
    }
  });
});
