/**
 * Goal: nodes come, leave, are removed and come again without a ghost, whatever dies on the way. Method: real daemons on
 * loopback whose containers are simulated.
 */
import assert from 'node:assert/strict';
import { readdir, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { LocalNodeState } from '#gen/swarm/v1/node.ts';
import { NodeRole } from '#gen/swarm/v1/specs.ts';
import { Lives } from './support/lives.ts';

const { MANAGER, WORKER } = NodeRole;

describe('the life of nodes', function () {
  this.timeout(90_000);
  this.bail(true);
  let lives: Lives;
  let failed = false;

  before(async () => {
    lives = await Lives.create();
  });
  afterEach(function () {
    failed ||= this.currentTest?.state === 'failed';
  });
  after(() => lives.managers.destroy(failed));

  it('a worker leaves: its entry goes, nothing of it stays but who it was', async () => {
    const { one, worker } = lives;
    const id = await lives.idOf(worker);
    assert.deepEqual((await worker.leave()).warnings, []);
    assert.deepEqual(await lives.names(), ['one', 'other']);
    const info = await worker.info();
    assert.deepEqual([info.state, info.error], [LocalNodeState.INACTIVE, '']);
    for (const gone of ['node', 'agent.db', 'raft', 'raft.key', 'joining'])
      assert.equal(await worker.has(gone), false, gone);
    assert.equal((await stat(join(worker.state, 'former'))).mode & 0o777, 0o700);
    assert.equal((await stat(join(worker.state, 'former', 'node.key'))).mode & 0o777, 0o600);
    await assert.rejects(worker.leave(), /not part of a swarm/);

    await lives.join(worker);
    assert.equal(await lives.idOf(worker), id);
    await lives.managers.ready(one, 'worker', WORKER);
    assert.equal(await worker.has('former'), false);
    assert.equal(await worker.has('departure.json'), false);
  });

  it('a node that is removed while it is there stops at once', async () => {
    const { worker } = lives;
    const id = await lives.idOf(worker);
    await lives.remove(id, true);
    await lives.inactive(worker);
    assert.match((await worker.info()).error, /removed|not part of the swarm any more/);
    await lives.join(worker);
  });

  it('a daemon that dies while it leaves finishes that at its next start', async () => {
    const { worker } = lives;
    const id = await lives.idOf(worker);
    await worker.kill();
    const departure = { format: 1, phase: 'leaving', nodeId: id, removed: false, message: 'left', atMs: 1 };
    await writeFile(join(worker.state, 'departure.json'), JSON.stringify(departure), { mode: 0o600 });
    await worker.start();
    await lives.inactive(worker);
    assert.deepEqual(await lives.names(), ['one', 'other']);
    assert.equal(await worker.has('node'), false);
    assert.equal((await worker.info()).error, '');
    // The identity had gone already, the rest not.
    await lives.join(worker);
    const ghost = await lives.idOf(worker);
    await worker.kill();
    await rm(join(worker.state, 'node'), { recursive: true });
    await writeFile(join(worker.state, 'departure.json'), JSON.stringify(departure), { mode: 0o600 });
    await worker.start();
    await lives.inactive(worker);
    assert.equal(await worker.has('agent.db'), false);
    await lives.remove(ghost, true);
  });

  it('a node that cannot take part leaves, and the managers are told', async () => {
    const { worker } = lives;
    await lives.join(worker);
    await worker.kill();
    for (const name of ['agent.db-wal', 'agent.db-shm']) await rm(join(worker.state, name), { force: true });
    await writeFile(join(worker.state, 'agent.db'), Buffer.alloc(64 * 1024, 'rubbish'));
    await worker.start();
    assert.equal((await worker.info()).state, LocalNodeState.ERROR);
    assert.deepEqual((await worker.leave(true)).warnings, []);
    assert.deepEqual(await lives.names(), ['one', 'other']);
  });

  it('a note of a departure that cannot be read keeps a member a member', async () => {
    const { one, other } = lives;
    const id = await lives.idOf(other);
    await other.kill();
    await writeFile(join(other.state, 'departure.json'), '{"format":1,"phase":"lea', { mode: 0o600 });
    await other.start();
    await lives.managers.ready(one, 'other', WORKER);
    assert.equal(await lives.idOf(other), id);
  });

  it('a host of another swarm joins this one as a new node', async () => {
    const { worker } = lives;
    await worker.init();
    const id = await lives.idOf(worker);
    await worker.leave(true);
    assert.equal(await worker.has('former'), true);
    const warnings = await lives.join(worker);
    assert.deepEqual(warnings, []);
    assert.notEqual(await lives.idOf(worker), id);
    assert.equal(await worker.has('former'), false);
  });

  it('a manager leaves, is gone, and comes back as what its token says with the id that it had', async () => {
    const { one, other } = lives;
    await other.leave();
    await other.join((await one.tokens()).manager, one.address);
    await lives.managers.voters(one, ['one', 'other']);
    const id = await lives.idOf(other);
    assert.deepEqual((await other.leave(true)).warnings, []);
    await lives.managers.voters(one, ['one']);
    assert.deepEqual(await lives.names(), ['one', 'worker']);
    await lives.join(other);
    assert.equal(await lives.idOf(other), id);
    assert.equal((await lives.nodeOf('other')).role, WORKER);
    await one.setRole('other', MANAGER);
    await lives.managers.voters(one, ['one', 'other']);
  });

  it('the last manager takes the swarm along', async () => {
    const { one, other } = lives;
    await other.leave(true);
    await assert.rejects(one.leave(), /erases all current state/);
    assert.deepEqual((await one.leave(true)).warnings, []);
    const left = (await readdir(one.state)).filter((name) => ['node', 'raft', 'raft.key', 'agent.db'].includes(name));
    assert.deepEqual(left, []);
  });
});
