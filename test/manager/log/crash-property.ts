/**
 * Goal: whatever moment the power fails at, the log comes back with a prefix of what was proposed, and everything that
 * was acknowledged is in it. Method: a random history is run once to count its disk operations, then again with a crash
 * at each one of them; the disk keeps what was synced and an arbitrary part of the rest, sector by sector. Then again
 * with a second crash during the recovery.
 */
import assert from 'node:assert/strict';
import fc from 'fast-check';
import { SeededRandom } from '#common/random.ts';
import { type LogConfig, MemoryDisk } from '#manager/log/index.ts';
import type { RaftLog } from '#manager/raft/index.ts';
import { bytes, openLog, WAIT } from './support.ts';

/** Sizes of proposals that are made at once; then their answers are awaited. */
type Burst = readonly number[];

const CONFIG: Partial<LogConfig> = { segmentBytes: 20 * 1024, snapshotEntries: 5, frameBytes: 6000 };

interface Run {
  readonly disk: MemoryDisk;
  readonly proposed: string[];
  acknowledged: number;
}

function textOf(position: number, size: number): string {
  return `${position}:`.padEnd(size, String.fromCharCode(97 + (position % 26)));
}

/** Runs the history until its end or until the crash, whatever comes first. */
async function run(history: readonly Burst[], seed: number, crashAt?: number): Promise<Run> {
  const disk = new MemoryDisk({ random: new SeededRandom(seed), ...(crashAt === undefined ? {} : { crashAt }) });
  const result: Run = { disk, proposed: [], acknowledged: 0 };
  const whole = (async () => {
    const { log } = await openLog(disk, CONFIG);
    for (const burst of history) await propose(log, burst, result);
    await log.close();
  })();
  await Promise.race([whole, disk.crashed]);
  return result;
}

async function propose(log: RaftLog, burst: Burst, result: Run): Promise<void> {
  const waiting = burst.map((size) => {
    const text = textOf(result.proposed.length, size);
    result.proposed.push(text);
    return log.propose(bytes(text), WAIT).then(() => {
      result.acknowledged++;
    });
  });
  await Promise.all(waiting);
}

function checkRecovered(applied: readonly string[], { proposed, acknowledged }: Run, where: string): void {
  assert.deepEqual(applied, proposed.slice(0, applied.length), `${where}: not a prefix of what was proposed`);
  assert.ok(applied.length >= acknowledged, `${where}: ${acknowledged} acknowledged, ${applied.length} recovered`);
}

const histories = fc.array(fc.array(fc.integer({ min: 1, max: 9000 }), { minLength: 1, maxLength: 4 }), {
  minLength: 1,
  maxLength: 7,
});

/** A crash at every single operation of `runs` random histories. */
export async function crashAnywhere(runs: number): Promise<void> {
  await fc.assert(
    fc.asyncProperty(histories, fc.nat(), async (history, seed) => {
      const { disk } = await run(history, seed);
      for (let crashAt = 1; crashAt <= disk.operations; crashAt++) {
        const crashed = await run(history, seed + crashAt, crashAt);
        const after = crashed.disk.afterCrash({ random: new SeededRandom(seed) });
        const { log, machine } = await openLog(after, CONFIG);
        checkRecovered(machine.applied, crashed, `crash at operation ${crashAt}`);
        await log.propose(bytes('afterwards'), WAIT);
        // What the recovery repaired must be durable by now, too.
        const final = await openLog(after.afterCrash({ random: new SeededRandom(seed + crashAt) }), CONFIG);
        assert.deepEqual(
          final.machine.applied,
          machine.applied,
          `crash at operation ${crashAt} and after the recovery`,
        );
        await final.log.close();
      }
    }),
    { numRuns: runs },
  );
}

/** A crash somewhere, then another at every single operation of the recovery. */
export async function crashWhileRecovering(runs: number): Promise<void> {
  await fc.assert(
    fc.asyncProperty(histories, fc.nat(), fc.integer({ min: 1, max: 100 }), async (history, seed, percent) => {
      const { disk } = await run(history, seed);
      const crashed = await run(history, seed, Math.ceil((percent * disk.operations) / 100));
      const recovery = crashed.disk.afterCrash({ random: new SeededRandom(seed) });
      await openLog(recovery, CONFIG);
      for (let crashAt = 1; crashAt <= recovery.operations; crashAt++) {
        const random = new SeededRandom(seed + crashAt);
        const recovering = crashed.disk.afterCrash({ random, crashAt });
        await Promise.race([openLog(recovering, CONFIG), recovering.crashed]);
        const final = await openLog(recovering.afterCrash({ random }), CONFIG);
        checkRecovered(final.machine.applied, crashed, `second crash at operation ${crashAt}`);
        await final.log.close();
      }
    }),
    { numRuns: runs },
  );
}
