/** Older snapshots are kept as many as was told, across restarts of a manager that learns the number from its state. */
import assert from 'node:assert/strict';
import { bytes, type Member, Members, until, WAIT } from './support/members.ts';

describe('manager/raft: older snapshots', function () {
  this.timeout(30_000);
  const members = new Members({ snapshotEntries: 5 });
  afterEach(() => members.close());

  const kept = ({ disk }: Member): number =>
    [...disk.files().keys()].filter((name) => name.endsWith('.snapshot')).length;

  const write = async (member: Member, count: number): Promise<void> => {
    for (let at = 0; at < count; at++) {
      const { index } = await member.log.propose(bytes('x'), WAIT);
      if (at % 5 !== 4) continue;
      await until(() => member.log.status().snapshotIndex > index - 5, 'a snapshot was taken');
    }
  };

  it('outlive a restart, and go when fewer are asked for', async () => {
    const first = await members.found('a');
    first.log.tuneSnapshots({ snapshotsKept: 2 });
    await write(first, 30);
    await until(() => kept(first) === 3, 'three are there');
    await first.log.close();
    members.forget(first);
    const again = await members.start('a', { disk: first.disk });
    assert.equal(kept(again), 3);
    again.log.tuneSnapshots({ snapshotsKept: 1 });
    await write(again, 10);
    await until(() => kept(again) === 2, 'two are there');
  });
});
