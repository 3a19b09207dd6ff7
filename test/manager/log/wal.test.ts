/**
 * The write-ahead log below the proposals: what a log of several members builds upon. Races between its own activities
 * are forced with a disk whose operations wait at a gate.
 */
import assert from 'node:assert/strict';
import { silentLogger } from '#common/log.ts';
import { systemClock } from '#common/system/clock.ts';
import {
  DEFAULT_LOG_CONFIG,
  type Disk,
  RECORD_TYPES,
  Wal,
  type WalOptions,
  type WalRecord,
} from '#manager/log/index.ts';
import { bytes, DIRECTORY, KEYS, memoryDisk, reopened, SMALL, until } from './support.ts';

function entry(index: number, size = 10, term = 1): WalRecord {
  return { type: RECORD_TYPES.entry, index, term, body: bytes(`${index}`.padEnd(size)) };
}

async function open(disk: Disk, options: Partial<WalOptions> = {}): Promise<{ wal: Wal; records: WalRecord[] }> {
  const records: WalRecord[] = [];
  const config = { ...DEFAULT_LOG_CONFIG, ...SMALL };
  const wal = await Wal.open(
    { disk, directory: DIRECTORY, keys: KEYS, logger: silentLogger, clock: systemClock, config, ...options },
    (record) => records.push(record),
  );
  return { wal, records };
}

/** Holds back the writes of files that were opened in the given mode, until the gate is opened. */
function gated(
  disk: Disk,
  mode: 'durable' | 'write',
): { disk: Disk; gate: { closed: boolean; waiting: number; open(): void } } {
  let release: (() => void)[] = [];
  const gate = {
    closed: false,
    waiting: 0,
    open() {
      gate.closed = false;
      for (const go of release.splice(0)) go();
      release = [];
    },
  };
  const wrapped: Disk = {
    makeDirectory: (path) => disk.makeDirectory(path),
    list: (path) => disk.list(path),
    rename: (from, to) => disk.rename(from, to),
    remove: (path) => disk.remove(path),
    syncDirectory: (path) => disk.syncDirectory(path),
    lock: (path) => disk.lock(path),
    async open(path, openMode) {
      const file = await disk.open(path, openMode);
      if (openMode !== mode) return file;
      return {
        read: (offset, length) => file.read(offset, length),
        async write(offset, data) {
          const copy = data.slice();
          if (gate.closed) {
            gate.waiting++;
            await new Promise<void>((resolve) => release.push(resolve));
          }
          await file.write(offset, copy);
        },
        sync: () => file.sync(),
        truncate: (size) => file.truncate(size),
        size: () => file.size(),
        close: () => file.close(),
      };
    },
  };
  return { disk: wrapped, gate };
}

function segmentsOf(disk: ReturnType<typeof memoryDisk>): readonly string[] {
  return [...disk.files().keys()].filter((name) => name.endsWith('.wal')).sort();
}

describe('manager/log: Wal', () => {
  it('gives back all kinds of records in order, overwritten entries included', async () => {
    const disk = memoryDisk();
    const { wal } = await open(disk);
    const records: WalRecord[] = [
      entry(1),
      { type: RECORD_TYPES.hardState, index: 0, term: 2, body: bytes('vote') },
      entry(2),
      entry(3),
      entry(2, 10, 2),
      { type: RECORD_TYPES.snapshotMark, index: 1, term: 1, body: bytes('') },
    ];
    await wal.append(records.slice(0, 3));
    await wal.append(records.slice(3));
    assert.equal(wal.lastIndex, 2);
    await wal.close();
    const again = await open(reopened(disk));
    assert.deepEqual(
      again.records.map(({ type, index, term, body }) => [type, index, term, Buffer.from(body).toString()]),
      records.map(({ type, index, term, body }) => [type, index, term, Buffer.from(body).toString()]),
    );
    assert.deepEqual(again.wal.logId, wal.logId);
  });

  it('begins every segment with the preamble, so that hard state outlives the segments before', async () => {
    const disk = memoryDisk();
    const vote: WalRecord = { type: RECORD_TYPES.hardState, index: 0, term: 5, body: bytes('vote') };
    const { wal } = await open(disk, { preamble: () => [vote] });
    for (let index = 1; index <= 20; index++) await wal.append([entry(index)]);
    await wal.release(20);
    assert.equal(segmentsOf(disk).length, 1);
    await wal.close();
    const { records } = await open(reopened(disk));
    assert.equal(records[0]?.type, RECORD_TYPES.hardState);
    assert.equal(Buffer.from(records[0]?.body ?? []).toString(), 'vote');
  });

  it('keeps the old segment until the new one holds its first frame', async () => {
    const inner = memoryDisk();
    const { disk, gate } = gated(inner, 'durable');
    const { wal } = await open(disk);
    let index = 0;
    while (segmentsOf(inner).length < 1 || index < 7) await wal.append([entry(++index)]);
    gate.closed = true;
    const rolling = wal.append([entry(index + 1, 20_000)]);
    await until(() => gate.waiting === 1, 'the first frame of the new segment is being written');
    assert.equal(segmentsOf(inner).length, 2);
    await wal.release(index);
    assert.equal(segmentsOf(inner).length, 2, 'the preamble is not durable anywhere else yet');
    gate.open();
    await rolling;
    await wal.release(index);
    assert.equal(segmentsOf(inner).length, 1);
    await wal.close();
  });

  it('does not write a frame into space that is still being zeroed', async () => {
    const inner = memoryDisk();
    const { disk, gate } = gated(inner, 'write');
    gate.closed = true;
    const { wal } = await open(disk);
    // The first frame finds no space allocated at all, and must wait for it.
    const first = wal.append([entry(1, 3000)]);
    await until(() => gate.waiting === 1, 'space is being allocated');
    gate.open();
    await first;
    await wal.append([entry(2, 3000)]);
    await wal.close();
    const { records } = await open(reopened(inner));
    assert.deepEqual(
      records.map(({ index }) => index),
      [1, 2],
    );
  });

  it('does not accumulate files when it is opened again and again', async () => {
    let disk = memoryDisk();
    const first = await open(disk);
    await first.wal.append([entry(1)]);
    for (let run = 0; run < 5; run++) {
      disk = reopened(disk, run);
      await open(disk);
    }
    assert.equal(segmentsOf(disk).length, 1);
  });

  it('gives back the space that it had allocated ahead', async () => {
    const disk = memoryDisk();
    const { wal } = await open(disk);
    await wal.append([entry(1)]);
    await wal.close();
    const [segment] = segmentsOf(disk);
    assert.equal(disk.files().get(segment ?? '')?.length, 2 * 4096);
  });
});
