/**
 * Goal: whoever is too far behind gets the state instead of entries, while the others go on; what a snapshot replaces
 * goes. Method: short histories with a snapshot every few entries, on disks in memory.
 */
import assert from 'node:assert/strict';
import { message } from 'raft-ts';
import { RecordingMachine } from '../log/support.ts';
import { bytes, DIRECTORY, type Member, Members, until, WAIT } from './support/members.ts';

function snapshotsOf({ disk }: Member): readonly string[] {
  return [...disk.files().keys()].filter((name) => name.endsWith('.snapshot'));
}

describe('manager/raft: snapshots', function () {
  this.timeout(30_000);
  let members = new Members();

  beforeEach(() => {
    members = new Members({ snapshotEntries: 20 });
  });
  afterEach(() => members.close());

  async function write(member: Member, count: number, prefix = ''): Promise<void> {
    for (let index = 0; index < count; index++) await member.log.propose(bytes(`${prefix}${index}`), WAIT);
  }

  it('a member that comes late gets the state, then the entries after it', async () => {
    const a = await members.found('a');
    await write(a, 100);
    assert.ok(a.log.status().snapshotIndex > 50);
    const b = await members.join('b');
    assert.ok(b.machine.restoredAt !== undefined);
    assert.deepEqual(b.machine.applied, a.machine.applied);
    await write(a, 50, 'more ');
    await until(() => b.machine.applied.length === 150, 'b has the rest');
    await b.log.close();
    const again = await members.start('b', { disk: b.disk });
    await until(() => again.machine.applied.length === 150, 'b has everything again');
    assert.deepEqual(again.machine.applied, a.machine.applied);
  });

  it('a member that was away for long gets the state, though it has entries that nobody else kept', async () => {
    const [a, b, c] = await members.swarm('a', 'b', 'c');
    assert.ok(a !== undefined && b !== undefined && c !== undefined);
    await write(a, 5);
    members.network.isolate('a');
    for (let index = 0; index < 15; index++) a.log.propose(bytes(`lost ${index}`), WAIT).catch(() => {});
    await until(() => [b, c].some(({ log }) => log.leadership().state === 'leader'), 'another leads');
    const next = [b, c].find(({ log }) => log.leadership().state === 'leader');
    assert.ok(next !== undefined);
    await write(next, 100, 'kept ');
    const before = members.network.snapshotsSent;
    members.network.heal();
    await until(() => a.machine.applied.length === 105, 'a has the state');
    assert.ok(members.network.snapshotsSent > before);
    assert.deepEqual(a.machine.applied, next.machine.applied);
    const disk = await members.crash(a);
    const again = await members.start('a', { disk });
    await until(() => again.machine.applied.length === 105, 'a has it after a crash, too');
    assert.deepEqual(again.machine.applied, next.machine.applied);
  });

  it('keeps entries for a member that is only a little behind', async () => {
    members = new Members({ snapshotEntries: 20, entriesKept: 500 });
    const [a, , c] = await members.swarm('a', 'b', 'c');
    assert.ok(a !== undefined && c !== undefined);
    const before = members.network.snapshotsSent;
    members.network.isolate('c');
    await write(a, 60);
    members.network.heal();
    await until(() => c.machine.applied.length === 60, 'c has everything');
    assert.equal(members.network.snapshotsSent, before);
  });

  it('tries again when a snapshot did not arrive', async () => {
    const a = await members.found('a');
    await write(a, 50);
    let failures = 2;
    const machine = new RecordingMachine();
    const joining = members.begin('b', { machine, origin: { kind: 'join', join: () => members.add('b') } });
    const end = members.network.end('a');
    assert.ok(end !== undefined);
    const send = end.sendSnapshot.bind(end);
    end.sendSnapshot = (message, chunks) => {
      if (failures-- > 0) return Promise.reject(new Error('the line is broken'));
      return send(message, chunks);
    };
    await joining.started;
    assert.ok(failures < 0);
    assert.equal(machine.applied.length, 50);
  });

  it('holds the entries after a snapshot that takes long, however many are written meanwhile', async () => {
    const a = await members.found('a');
    await write(a, 50);
    const end = members.network.end('a');
    assert.ok(end !== undefined);
    const send = end.sendSnapshot.bind(end);
    end.sendSnapshot = async (message, chunks) => {
      await write(a, 60, 'meanwhile ');
      await send(message, chunks);
    };
    const before = members.network.snapshotsSent;
    const b = await members.join('b');
    await until(() => b.machine.applied.length === a.machine.applied.length, 'b has everything');
    assert.equal(members.network.snapshotsSent - before, 1);
    assert.deepEqual(b.machine.applied, a.machine.applied);
  });

  it('waits before it tries again, longer each time', async () => {
    members = new Members({
      snapshotEntries: 20,
      snapshotResend: { baseMs: 150, maxMs: 600, factor: 2, jitter: 0 },
    });
    const a = await members.found('a');
    await write(a, 50);
    const end = members.network.end('a');
    assert.ok(end !== undefined);
    const send = end.sendSnapshot.bind(end);
    const attemptsMs: number[] = [];
    end.sendSnapshot = (message, chunks) => {
      attemptsMs.push(performance.now());
      if (attemptsMs.length < 4) return Promise.reject(new Error('the line is broken'));
      return send(message, chunks);
    };
    await members.join('b');
    const pausesMs = attemptsMs.map((atMs, index) => atMs - (attemptsMs[index - 1] ?? 0)).slice(1, 4);
    const leastMs = [150, 300, 600];
    assert.ok(
      leastMs.every((ms, index) => (pausesMs[index] ?? 0) >= ms - 5),
      `paused for ${pausesMs.join(', ')} ms`,
    );
  });

  it('one that comes while another is being installed waits for that, and is not counted as a failure', async () => {
    const a = await members.found('a');
    await write(a, 50);
    const installing = Promise.withResolvers<void>();
    const goOn = Promise.withResolvers<void>();
    class SlowMachine extends RecordingMachine {
      override async restore(...[position, chunks]: Parameters<RecordingMachine['restore']>): Promise<void> {
        installing.resolve();
        await goOn.promise;
        await super.restore(position, chunks);
      }
    }
    const end = members.network.end('a');
    assert.ok(end !== undefined);
    const send = end.sendSnapshot.bind(end);
    let sent: Parameters<typeof send>[0] | undefined;
    end.sendSnapshot = (message, chunks) => {
      sent = message;
      return send(message, chunks);
    };
    const b = members.begin('b', {
      machine: new SlowMachine(),
      origin: { kind: 'join', join: () => members.add('b') },
    });
    await installing.promise;
    assert.ok(sent?.snapshot !== undefined);
    async function* broken() {
      yield bytes('x');
      throw new Error('the stream broke off');
    }
    const later = { ...sent, snapshot: { ...sent.snapshot, index: sent.snapshot.index + 1000 } };
    const next = members.network.end('b')?.handler?.snapshot(sent.from, later, broken());
    goOn.resolve();
    await assert.rejects(async () => next, { reason: 'bad-message' });
    await b.started;
    assert.deepEqual(b.machine.applied, a.machine.applied);
  });

  it('is not confused by a stream that breaks off, and takes one snapshot at a time', async () => {
    const [a, b] = await members.swarm('a', 'b');
    assert.ok(a !== undefined && b !== undefined);
    await write(a, 30);
    const handler = members.network.end('b')?.handler;
    const from = a.log.self()?.raftId ?? 0;
    const to = b.log.self()?.raftId ?? 0;
    const offered = (index: number) =>
      message({
        type: 'MsgSnap',
        from,
        to,
        term: 1,
        snapshot: {
          index,
          term: 1,
          confState: { voters: [from, to], learners: [], votersOutgoing: [], learnersNext: [], autoLeave: false },
          data: new Uint8Array(0),
        },
      });
    let release = (): void => {};
    const waiting = new Promise<void>((resolve) => {
      release = resolve;
    });
    async function* broken() {
      await waiting;
      yield bytes('no header');
      throw new Error('the stream broke off');
    }
    const first = handler?.snapshot(from, offered(1000), broken());
    await assert.rejects(async () => handler?.snapshot(from, offered(1001), broken()), { reason: 'too-many' });
    release();
    await assert.rejects(async () => first);
    await write(a, 30);
    await until(() => b.machine.applied.length === 60, 'b goes on');
    await until(() => snapshotsOf(b).every((name) => !name.includes('1000')), 'nothing of it is left');
  });

  it('a snapshot of what is there already is not read', async () => {
    const [a, b] = await members.swarm('a', 'b');
    assert.ok(a !== undefined && b !== undefined);
    await write(a, 5);
    await until(() => b.machine.applied.length === 5, 'b has everything');
    const from = a.log.self()?.raftId ?? 0;
    const confState = { voters: [from], learners: [], votersOutgoing: [], learnersNext: [], autoLeave: false };
    const snapshot = { index: 2, term: 1, confState, data: new Uint8Array(0) };
    async function* unread() {
      yield bytes('x');
      throw new Error('it was read');
    }
    const offer = message({ type: 'MsgSnap', from, to: b.log.self()?.raftId ?? 0, term: 2, snapshot });
    await members.network.end('b')?.handler?.snapshot(from, offer, unread());
    assert.equal(b.log.leadership().state, 'follower');
  });

  it('forgets what a snapshot replaces', async () => {
    const a = await members.found('a');
    for (let index = 0; index < 60; index++) await a.log.propose(bytes('x'.repeat(5000)), WAIT);
    await until(() => a.log.status().snapshotIndex >= 60, 'the last snapshot is taken');
    await until(() => snapshotsOf(a).length === 1, 'the others are gone');
    assert.ok(![...a.disk.files().keys()].includes(`${DIRECTORY}/0000000000000001.wal`));
  });
});
