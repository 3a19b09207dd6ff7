/**
 * Goal: a log that has ended, in whatever way, holds no file and no lock: what is left open is closed by the garbage
 * collector some day, with a warning, or never. Method: disks in memory count what is open.
 */
import assert from 'node:assert/strict';
import { silentLogger } from '#common/log.ts';
import { SeededRandom } from '#common/random.ts';
import { MemoryDisk } from '#manager/log/index.ts';
import { forceNewCluster } from '#manager/raft/index.ts';
import { bytes, DIRECTORY, KEYS, type Member, Members, until, WAIT } from './support/members.ts';

describe('manager/raft: open files', function () {
  this.timeout(30_000);
  let members = new Members();

  beforeEach(() => {
    members = new Members({ snapshotEntries: 10, closeTimeoutMs: 200 });
  });
  afterEach(() => members.close());

  async function write({ log }: Member, count: number): Promise<void> {
    for (let index = 0; index < count; index++) await log.propose(bytes(`${index}`), WAIT);
  }

  async function letsGo({ disk, name }: Member): Promise<void> {
    await until(() => disk.held.length === 0, `${name} lets go of ${disk.held.join(', ')}`);
  }

  function force(disk: MemoryDisk, nodeId: string): Promise<void> {
    return forceNewCluster({
      directory: DIRECTORY,
      keys: KEYS,
      logger: silentLogger,
      disk,
      nodeId,
      address: nodeId,
      featureLevel: 1,
    });
  }

  it('none are left by members that are removed, promoted again, and closed', async () => {
    const [a, b] = await members.swarm('a', 'b', 'c');
    assert.ok(a !== undefined && b !== undefined);
    await write(a, 35);
    await a.log.removeMember(b.log.self()?.raftId ?? 0, WAIT);
    // Its streams are gone, and when it opens them again it is told why.
    members.network.isolate('b');
    members.network.heal();
    await until(() => b.removed.length > 0, 'b knows that it was removed');
    await b.log.close();
    await letsGo(b);
    const again = await members.join('b');
    await write(a, 15);
    await until(() => again.machine.applied.length === 50, 'b has everything');
    const all = [...members.all];
    await members.close();
    for (const member of all) await letsGo(member);
  });

  it('none are left by a snapshot that is given up on either side', async () => {
    const a = await members.found('a');
    await write(a, 50);
    const end = members.network.end('a');
    assert.ok(end !== undefined);
    const reached = Promise.withResolvers<void>();
    const goOn = Promise.withResolvers<void>();
    const send = end.sendSnapshot.bind(end);
    end.sendSnapshot = (message, chunks) =>
      send(
        message,
        (async function* () {
          for await (const chunk of chunks) {
            yield chunk;
            reached.resolve();
            await goOn.promise;
          }
        })(),
      );
    const b = members.begin('b', { origin: { kind: 'join', join: () => members.add('b') } });
    await reached.promise;
    await b.log.close();
    // What was on its way comes to a member that has ended.
    goOn.resolve();
    await letsGo(b);
    await a.log.close();
    await letsGo(a);
  });

  it('none are left by a log that could not start, or was forced', async () => {
    const empty = members.begin('a');
    await assert.rejects(empty.started, { reason: 'corrupt-state' });
    assert.deepEqual(empty.disk.held, []);
    await assert.rejects(force(empty.disk, 'a'), { reason: 'corrupt-state' });
    assert.deepEqual(empty.disk.held, []);

    const [a, b] = await members.swarm('a', 'b');
    assert.ok(a !== undefined && b !== undefined);
    await write(a, 5);
    const disk = await members.crash(b);
    const foreign = members.begin('other', { disk });
    await assert.rejects(foreign.started, { reason: 'corrupt-state' });
    assert.deepEqual(disk.held, []);
    await force(disk, 'b');
    assert.deepEqual(disk.held, []);
    members.network.isolate('a');
    const forced = await members.start('b', { disk });
    await write(forced, 5);
    await forced.log.close();
    assert.deepEqual(disk.held, []);
  });

  it('none are left by one that was closed while it waited for something that came late', async () => {
    const a = await members.found('a');
    const late = Promise.withResolvers<void>();
    const join = async () => {
      await late.promise;
      return members.add('b');
    };
    const b = members.begin('b', { origin: { kind: 'join', join } });
    await until(() => b.disk.held.includes(DIRECTORY), 'b holds its directory');
    const closed = b.log.close();
    late.resolve();
    await closed;
    await letsGo(b);
    assert.equal(a.log.leadership().state, 'leader');
  });

  it('none are left by one whose machine took longer to restore than closing waits', async () => {
    const a = await members.found('a');
    await write(a, 15);
    await a.log.close();
    members.forget(a);
    const restoring = Promise.withResolvers<void>();
    const goOn = Promise.withResolvers<void>();
    const slow = Object.assign(Object.create(a.machine), {
      restore: async () => {
        restoring.resolve();
        await goOn.promise;
      },
    }) as Member['machine'];
    const again = members.begin('a', { disk: a.disk, machine: slow });
    await restoring.promise;
    await again.log.close();
    assert.notDeepEqual(a.disk.held, []);
    goOn.resolve();
    await assert.rejects(again.started);
    await letsGo(again);
  });

  it('none are left when any operation of the disk fails', async () => {
    for (let operation = 1; ; operation++) {
      const disk = new MemoryDisk({ random: new SeededRandom(operation), failAt: { operation, code: 'EIO' } });
      const member = members.begin('a', { disk, origin: { kind: 'found' } });
      await member.started
        .then(() => write(member, 12))
        .then(
          () => until(() => member.log.status().snapshotIndex > 1 || disk.operations >= operation, 'a snapshot'),
          () => {},
        );
      await member.log.close();
      members.all.splice(members.all.indexOf(member), 1);
      assert.deepEqual(disk.held, [], `after operation ${operation} failed`);
      if (disk.operations < operation) break;
    }
  });
});
