import assert from 'node:assert/strict';
import { bytes, Members, until, WAIT } from './support/members.ts';

describe('manager/raft: members', function () {
  this.timeout(30_000);
  let members = new Members();

  beforeEach(() => {
    members = new Members();
  });
  afterEach(() => members.close());

  it('one member leads, applies what is proposed, and comes back with it', async () => {
    const one = await members.found('a');
    assert.equal(one.log.leadership().state, 'leader');
    const position = await one.log.propose(bytes('x'), WAIT);
    assert.deepEqual(one.machine.applied, ['x']);
    assert.equal(await one.log.readBarrier(WAIT), position.index);
    await one.log.close();
    const again = await members.start('a', { disk: one.disk });
    assert.deepEqual(again.machine.applied, ['x']);
    assert.equal(again.log.leadership().state, 'leader');
  });

  it('three members agree, and go on without their leader', async () => {
    const [a, b, c] = await members.swarm('a', 'b', 'c');
    assert.ok(a !== undefined && b !== undefined && c !== undefined);
    for (let count = 0; count < 50; count++) await a.log.propose(bytes(`${count}`), WAIT);
    await until(() => c.machine.applied.length === 50, 'everybody has applied everything');
    await members.crash(a);
    const leader = await members.untilLed();
    await leader.log.propose(bytes('after'), WAIT);
    await until(() => [b, c].every(({ machine }) => machine.applied.length === 51), 'both have applied it');
    assert.deepEqual(b.machine.applied, c.machine.applied);
  });
});
