/**
 * Goal: a torn tail is cut, any other damage stops the start and says where. Method: write a log, then change its bytes
 * as a crash, a bad disk or an intruder would, and open it again.
 */
import assert from 'node:assert/strict';
import { SwarmError } from '#common/errors.ts';
import { SeededRandom } from '#common/random.ts';
import { MemoryDisk } from '#manager/log/index.ts';
import { bytes, memoryDisk, oneMemberLog, openLog, RecordingMachine, SMALL, until, WAIT } from './support.ts';

const PAGE = 4096;

/** Pages before the first proposal's: the segment's header, the founding, the vote, the leader's own entry. */
const PAGES_BEFORE = 4;

type Content = Map<string, Uint8Array>;

/** Files of a log with one frame for each entry, the last segment cut to what is used. */
async function written(entries: number, config = {}): Promise<{ content: Content; segments: string[] }> {
  const disk = memoryDisk();
  const { log } = await openLog(disk, config);
  for (let index = 1; index <= entries; index++) await log.propose(bytes(`entry ${index}`), WAIT);
  await log.close();
  const content = new Map(disk.files());
  return { content, segments: [...content.keys()].filter((name) => name.endsWith('.wal')).sort() };
}

function diskOf(content: Content): MemoryDisk {
  return new MemoryDisk({ random: new SeededRandom(3) }, content);
}

function changed(content: Content, name: string, change: (file: Uint8Array<ArrayBuffer>) => Uint8Array): Content {
  const file = content.get(name);
  assert.ok(file !== undefined, name);
  return new Map([...content, [name, change(new Uint8Array(file))]]);
}

function flipped(content: Content, name: string, offset: number): Content {
  return changed(content, name, (file) => {
    file[offset] = (file[offset] ?? 0) ^ 0x10;
    return file;
  });
}

async function refusal(content: Content): Promise<SwarmError> {
  const thrown: unknown = await openLog(diskOf(content)).then(
    () => assert.fail('the damage was not noticed'),
    (error: unknown) => error,
  );
  assert.ok(thrown instanceof SwarmError, String(thrown));
  assert.ok(thrown.hint !== undefined);
  return thrown;
}

async function recovered(content: Content): Promise<readonly string[]> {
  const { log, machine } = await openLog(diskOf(content));
  await log.propose(bytes('after'), WAIT);
  await log.close();
  return machine.applied.slice(0, -1);
}

describe('manager/log: damage', () => {
  it('cuts a tail that was torn at any byte', async () => {
    const { content, segments } = await written(3);
    const name = segments[0] as string;
    const size = content.get(name)?.length ?? 0;
    // The last page says, at the end, what is committed.
    assert.equal(size, (PAGES_BEFORE + 4) * PAGE);
    for (let length = PAGE; length < size; length += 1 + (length % 97)) {
      const whole = Math.min(3, Math.max(0, Math.floor(length / PAGE) - PAGES_BEFORE));
      const applied = await recovered(changed(content, name, (file) => file.slice(0, length)));
      // A frame is whole as soon as its last byte that is not padding is there.
      assert.ok(applied.length === whole || applied.length === whole + 1, `cut at ${length}: ${applied.length}`);
      assert.deepEqual(applied, ['entry 1', 'entry 2', 'entry 3'].slice(0, applied.length));
    }
  });

  it('cuts a last frame whose pages came to the disk out of order', async () => {
    const disk = memoryDisk();
    const { log } = await openLog(disk, { frameBytes: 64 * 1024, segmentBytes: 64 * 1024 });
    await log.propose(bytes('first'), WAIT);
    await log.propose(bytes('x'.repeat(3 * PAGE)), WAIT);
    await log.close();
    const content = new Map(disk.files());
    const name = [...content.keys()].find((file) => file.endsWith('.wal')) as string;
    const large = PAGES_BEFORE + 1;
    for (const page of [large, large + 1, large + 2, large + 3]) {
      const torn = changed(content, name, (file) => file.fill(0, page * PAGE, (page + 1) * PAGE));
      const applied = await recovered(changed(torn, name, (file) => file.slice(0, (large + 4) * PAGE)));
      assert.deepEqual(applied, ['first'], `page ${page} lost`);
    }
  });

  it('refuses to start when a frame is damaged that another follows, naming file and offset', async () => {
    const { content, segments } = await written(4);
    const name = segments[0] as string;
    for (let frame = 1; frame <= 3; frame++)
      for (const offset of [0, 4, 8, 20, 33, 40, 60, 90]) {
        const at = frame * PAGE + offset;
        // Bytes 40 to 47 of a frame's header mean nothing.
        if (offset === 40) assert.deepEqual((await recovered(flipped(content, name, at))).length, 4);
        else {
          const error = await refusal(flipped(content, name, at));
          assert.equal(error.reason, 'corrupt-log');
          assert.ok(error.message.includes(name) && error.message.includes(`offset ${frame * PAGE}`), error.message);
        }
      }
    const zeroed = changed(content, name, (file) => file.fill(0, 2 * PAGE, 3 * PAGE));
    assert.equal((await refusal(zeroed)).reason, 'corrupt-log');
  });

  it('refuses to start when a segment is missing, cut, renamed or of another log', async () => {
    const { content, segments } = await written(30);
    assert.ok(segments.length >= 3, 'several segments');
    const [first, second, third] = segments as [string, string, string];
    const without = new Map(content);
    without.delete(second);
    assert.match((await refusal(without)).message, /segment before it is missing/);
    const cut = changed(content, second, (file) => file.slice(0, file.length - PAGE));
    assert.match((await refusal(cut)).message, /is missing/);
    const other = (await written(30)).content;
    assert.match(
      (await refusal(new Map([...content, [second, other.get(second) as Uint8Array]]))).message,
      /another log/,
    );
    const swapped = new Map([...content, [third, content.get(first) as Uint8Array]]);
    assert.match((await refusal(swapped)).message, /under another's name/);
    const header = flipped(content, first, 60);
    assert.match((await refusal(header)).message, /header is damaged/);
    const headless = new Map(content);
    headless.delete(first);
    assert.match((await refusal(headless)).message, /entry 2 is needed/);
  });

  it('refuses a snapshot that is damaged, cut or missing', async () => {
    const disk = memoryDisk();
    const { log } = await openLog(disk, { snapshotEntries: 10 });
    for (let index = 1; index <= 12; index++) await log.propose(bytes(`entry ${index}`), WAIT);
    await until(() => log.status().snapshotIndex > 10, 'the snapshot is taken');
    await log.close();
    const content = new Map(disk.files());
    const name = [...content.keys()].find((file) => file.endsWith('.snapshot')) as string;
    const size = content.get(name)?.length ?? 0;
    assert.equal((await recovered(content)).length, 12);
    for (let offset = 0; offset < size; offset += 7)
      // Bytes 12 to 15 of the header mean nothing, but they are part of its checksum.
      assert.equal((await refusal(flipped(content, name, offset))).reason, 'corrupt-state', `offset ${offset}`);
    for (let length = 0; length < size; length += 11)
      assert.equal((await refusal(changed(content, name, (file) => file.slice(0, length)))).reason, 'corrupt-state');
    const without = new Map(content);
    without.delete(name);
    assert.match((await refusal(without)).message, /snapshot .* is missing/);
    const logless = new Map([...content].filter(([file]) => !file.endsWith('.wal')));
    assert.match((await refusal(logless)).message, /no log/);
  });

  it('keeps what it writes unreadable, and refuses another key', async () => {
    const { content } = await written(5, { snapshotEntries: 3 });
    for (const [name, file] of content)
      assert.ok(!Buffer.from(file).includes('entry'), `${name} shows what was proposed`);
    const keys = { current: new Uint8Array(32).fill(8) };
    const log = oneMemberLog('resume', { keys, disk: diskOf(content), config: SMALL });
    await assert.rejects(log.start(new RecordingMachine()), { code: 'precondition', reason: 'corrupt-state' });
    assert.equal(log.leadership().state, 'stopped');
  });

  it('reads with an older key, and writes with the new one', async () => {
    const { content } = await written(5);
    const [old, next] = [new Uint8Array(32).fill(7), new Uint8Array(32).fill(8)];
    const disk = diskOf(content);
    const open = async (keys: { current: Uint8Array; previous?: readonly Uint8Array[] }) => {
      const machine = new RecordingMachine();
      const log = oneMemberLog('resume', { keys, disk, config: { ...SMALL, snapshotEntries: 6 } });
      await log.start(machine);
      return { log, machine };
    };
    const rotating = await open({ current: next, previous: [old] });
    assert.equal(rotating.machine.applied.length, 5);
    await rotating.log.propose(bytes('six'), WAIT);
    await until(() => rotating.log.status().snapshotIndex > 6, 'the snapshot is taken');
    await rotating.log.close();
    const rotated = await open({ current: next });
    assert.equal(rotated.machine.applied.length, 6);
    await rotated.log.close();
  });
});
