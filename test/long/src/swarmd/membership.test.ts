/**
 * Goal: hosts that come back after nobody heard them go are who they were, once, and nobody else is. Method: real daemons on
 * loopback whose containers are simulated.
 */
import assert from 'node:assert/strict';
import { cp, mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { SwarmError } from '#common/errors.ts';
import { NodeAvailability } from '#gen/swarm/v1/specs.ts';
import { Lives } from '#test/src/swarmd/support/lives.ts';

describe('the life of nodes that are away', function () {
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

  it('a worker that nobody can hear leaves with the command that removes it; it takes its entry over again', async () => {
    const { one, worker } = lives;
    const before = await lives.nodeOf('worker');
    assert.ok(before.spec);
    const spec = { ...before.spec, labels: { zone: 'a' }, availability: NodeAvailability.PAUSE };
    await one.control.updateNode({ id: before.id, version: before.version, spec }, { timeoutMs: 10_000 });
    await one.kill();
    const { warnings } = await worker.leave();
    assert.equal(warnings.length, 1);
    assert.match(warnings[0] ?? '', new RegExp(`swarm node rm ${before.id}`));
    // Whoever looks at this host later is told, too.
    await worker.kill();
    await worker.start();
    assert.deepEqual((await worker.info()).warnings, warnings);
    await one.start();
    await lives.isDown('worker');
    await lives.join(worker);
    assert.deepEqual((await worker.info()).warnings, []);
    const after = await lives.nodeOf('worker');
    assert.equal(after.id, before.id);
    assert.deepEqual(after.spec?.labels, { zone: 'a' });
    assert.equal(after.spec.availability, NodeAvailability.PAUSE);
    assert.deepEqual(await lives.names(), ['one', 'other', 'worker']);
  });

  it('its earlier certificate does not count; who shows it is told so', async () => {
    const { worker } = lives;
    const stolen = join(worker.directory, 'stolen');
    await mkdir(stolen);
    await cp(join(worker.state, 'node'), join(stolen, 'node'), { recursive: true, preserveTimestamps: true });
    await worker.leave();
    await lives.join(worker);
    const id = await lives.idOf(worker);
    // The daemon with what it had before.
    await worker.stop();
    await rm(join(worker.state, 'node'), { recursive: true });
    await cp(join(stolen, 'node'), join(worker.state, 'node'), { recursive: true, preserveTimestamps: true });
    await worker.start();
    await lives.inactive(worker);
    assert.match((await worker.info()).error, /does not count any more/);
    await lives.isDown('worker');
    await lives.join(worker);
    assert.equal(await lives.idOf(worker), id);
  });

  it('a node that was removed while it was away is told so, stops, and says what happened until it joins again', async () => {
    const { worker } = lives;
    const id = await lives.idOf(worker);
    await assert.rejects(lives.remove(id), /is not down and can't be removed/);
    await worker.kill();
    await lives.isDown('worker');
    await lives.remove(id);
    await worker.start();
    await lives.inactive(worker);
    assert.match((await worker.info()).error, new RegExp(`this host was node ${id} until .*; join again with a token`));
    await worker.stop();
    await worker.start();
    assert.match((await worker.info()).error, new RegExp(id));
    await lives.join(worker);
    assert.equal((await worker.info()).error, '');
    assert.equal(await lives.idOf(worker), id);
  });

  it('with a new identity its old entry goes, but not while that node is up', async () => {
    const { one, worker } = lives;
    const id = await lives.idOf(worker);
    await one.kill();
    await worker.leave();
    await one.start();
    await lives.isDown('worker');
    await lives.join(worker, true);
    assert.notEqual(await lives.idOf(worker), id);
    assert.deepEqual(await lives.names(), ['one', 'other', 'worker']);
  });

  it('a copy of a host that has left cannot be the node while that is up', async () => {
    const { one, other } = lives;
    await other.leave();
    const copy = await lives.managers.daemon('copy');
    await copy.stop();
    await cp(join(other.state, 'former'), join(copy.state, 'former'), { recursive: true });
    await copy.start();
    await lives.join(other);
    for (const newIdentity of [false, true])
      await assert.rejects(copy.join((await one.tokens()).worker, one.address, { newIdentity }), (thrown) => {
        const error = SwarmError.from(thrown);
        assert.match(error.message, /and that node is up/);
        assert.match(error.hint ?? '', /former/);
        return true;
      });
    await rm(join(copy.state, 'former'), { recursive: true });
    await lives.join(copy);
    await copy.leave();
  });

  it('a joiner hears of a dead node of its name', async () => {
    const { one, worker } = lives;
    const id = await lives.idOf(worker);
    await one.kill();
    await worker.leave();
    await one.start();
    await lives.isDown('worker');
    await rm(join(worker.state, 'former'), { recursive: true });
    const warnings = await lives.join(worker);
    assert.match(warnings[0] ?? '', new RegExp(`swarm node rm ${id}`));
    assert.equal((await lives.names()).filter((name) => name === 'worker').length, 2);
    await lives.remove(id);
  });
});
