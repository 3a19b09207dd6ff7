/**
 * Goal: readers get every line once and in order, whatever happens to the files. Method: logs written by the test as
 * conmon would, rotated and truncated while they are read.
 */
import assert from 'node:assert/strict';
import { appendFile, mkdtemp, rename, rm, unlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { DEFAULT_LOG_CONFIG, type LogLine, type LogQuery, readLog } from '#agent/logs/index.ts';
import { systemClock } from '#common/system/clock.ts';
import { eventually } from '#test/support/eventually.ts';

const ALL: LogQuery = { follow: false, tail: undefined, sinceNs: undefined, untilNs: undefined };
const BASE_MS = Date.parse('2026-01-01T00:00:00Z');

function record(second: number, text: string, flag = 'F', stream = 'stdout'): string {
  return `${new Date(BASE_MS + second * 1000).toISOString().replace('Z', '000000+00:00')} ${stream} ${flag} ${text}\n`;
}

function nanos(second: number): number {
  return (BASE_MS + second * 1000) * 1e6;
}

async function collect(lines: AsyncIterable<LogLine>): Promise<readonly LogLine[]> {
  const all: LogLine[] = [];
  for await (const line of lines) all.push(line);
  return all;
}

describe('logs: reading', () => {
  let directory: string;
  let path: string;
  let end: () => void;
  let ended: Promise<void>;

  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'starling-log-'));
    path = join(directory, 'log');
    ended = new Promise((resolve) => {
      end = resolve;
    });
  });
  afterEach(async () => {
    end();
    await rm(directory, { recursive: true, force: true });
  });

  function lines(query: Partial<LogQuery>, chunkBytes = 64 * 1024, signal = new AbortController().signal) {
    const config = { ...DEFAULT_LOG_CONFIG, chunkBytes, followPollMs: 50 };
    return readLog({ path, ended, config, clock: systemClock }, { ...ALL, ...query }, signal);
  }

  async function read(query: Partial<LogQuery>, chunkBytes?: number): Promise<readonly string[]> {
    const all = await collect(lines(query, chunkBytes));
    return all.map((line) => line.data.toString());
  }

  it('reads rotated files first, the oldest to the newest', async () => {
    await writeFile(`${path}.10`, record(1, 'a'));
    await writeFile(`${path}.2`, record(2, 'b'));
    await writeFile(`${path}.1`, record(3, 'c') + record(4, 'd'));
    await writeFile(path, record(5, 'e'));
    await writeFile(`${path}.new`, 'junk');
    assert.deepEqual(await read({}), ['a', 'b', 'c', 'd', 'e']);
    assert.deepEqual(await read({ tail: 2 }), ['d', 'e']);
    assert.deepEqual(await read({ tail: 4 }), ['b', 'c', 'd', 'e']);
    assert.deepEqual(await read({ tail: 0 }), []);
    assert.deepEqual(await read({ tail: 99 }), ['a', 'b', 'c', 'd', 'e']);
    assert.deepEqual(await read({ sinceNs: nanos(3) }), ['c', 'd', 'e']);
    assert.deepEqual(await read({ untilNs: nanos(3) }), ['a', 'b', 'c']);
    assert.deepEqual(await read({ sinceNs: nanos(2), untilNs: nanos(4) }), ['b', 'c', 'd']);
  });

  it('goes further back than the last lines asked for, to a time, and no further than these otherwise', async () => {
    await writeFile(`${path}.1`, record(1, 'a') + record(2, 'b'));
    await writeFile(path, record(3, 'c') + record(4, 'd') + record(5, 'e'));
    assert.deepEqual(await read({ tail: 1, reachNs: nanos(2) }), ['b', 'c', 'd', 'e']);
    assert.deepEqual(await read({ tail: 0, reachNs: nanos(4) }), ['d', 'e']);
    assert.deepEqual(await read({ tail: 0, reachNs: nanos(6) }), []);
    assert.deepEqual(await read({ tail: 3, reachNs: nanos(5) }), ['c', 'd', 'e']);
    assert.deepEqual(await read({ tail: 3, reachNs: nanos(1), sinceNs: nanos(2) }), ['b', 'c', 'd', 'e']);
  });

  it('counts a line in pieces to the time in which it came to its end', async () => {
    await writeFile(path, record(1, 'begun ', 'P') + record(2, 'other', 'F', 'stderr') + record(3, 'ended'));
    assert.deepEqual(await read({ sinceNs: nanos(3) }), ['begun ended']);
    assert.deepEqual(await read({ sinceNs: nanos(4) }), []);
  });

  it('has nothing to say of a log that does not exist', async () => {
    assert.deepEqual(await read({}), []);
    end();
    assert.deepEqual(await read({ follow: true }), []);
  });

  it('finds the last lines as counting all of them would, at any size of chunk', async () => {
    const piece = fc.record({
      text: fc.string({ maxLength: 30 }).map((text) => text.replaceAll('\n', ' ')),
      partial: fc.boolean(),
    });
    await fc.assert(
      fc.asyncProperty(
        fc.array(piece, { maxLength: 30 }),
        fc.nat(12),
        fc.integer({ min: 1, max: 200 }),
        async (pieces, tail, chunkBytes) => {
          const closed = [...pieces, { text: 'last', partial: false }];
          await writeFile(path, closed.map(({ text, partial }) => record(1, text, partial ? 'P' : 'F')).join(''));
          const all: string[] = [];
          let begun = '';
          for (const { text, partial } of closed) {
            begun += text;
            if (!partial) {
              all.push(begun);
              begun = '';
            }
          }
          assert.deepEqual(await read({ tail }, chunkBytes), tail === 0 ? [] : all.slice(-tail));
        },
      ),
      { numRuns: 60 },
    );
  });

  it('ends a line that has no end', async () => {
    await writeFile(path, record(1, 'abc', 'P') + record(1, 'def', 'P'));
    assert.deepEqual(await read({}), ['abcdef']);
  });

  it('follows through rotations, loses nothing and repeats nothing', async () => {
    await writeFile(path, record(1, '0'));
    const got: string[] = [];
    const reading = (async () => {
      for await (const line of lines({ follow: true }, 64)) got.push(line.data.toString());
    })();
    let written = 1;
    for (let round = 0; round < 5; round++) {
      for (let count = 0; count < 20; count++) await appendFile(path, record(2, String(written++)));
      // As the rotator does; the writer holds on to the old file for a moment.
      if (round > 1) await rename(`${path}.1`, `${path}.2`).catch(() => {});
      await rename(path, `${path}.1`);
      await appendFile(`${path}.1`, record(3, String(written++)));
      await writeFile(path, '');
    }
    end();
    await reading;
    assert.deepEqual(
      got,
      Array.from({ length: written }, (_unused, index) => String(index)),
    );
  });

  /** As the rotator and the monitor do; the next file has one line. */
  async function rotate(filesMax: number, line: number): Promise<void> {
    const name = (number: number): string => (number === 0 ? path : `${path}.${number}`);
    await unlink(name(filesMax - 1)).catch(() => {});
    for (let number = filesMax - 2; number >= 0; number--) await rename(name(number), name(number + 1)).catch(() => {});
    await writeFile(path, record(line, `${line}`));
  }

  it('loses nothing to rotations between its looks', async () => {
    const count = 400;
    const got: string[] = [];
    await writeFile(path, record(0, '0'));
    const reading = (async () => {
      for await (const line of lines({ follow: true })) got.push(line.data.toString());
    })();
    for (let line = 1; line < count; line++) {
      await eventually('the follower to be near', () => got.length > line - 5, { everyMs: 0 });
      await rotate(10, line);
    }
    end();
    await reading;
    assert.deepEqual(
      got,
      Array.from({ length: count }, (_unused, line) => `${line}`),
    );
  });

  it('begins with every file, whatever is rotated at that moment', async () => {
    for (let line = 0; line < 10; line++) await rotate(10, line);
    for (let line = 10; line < 200; line++) {
      const [found] = await Promise.all([read({}), rotate(10, line)]);
      const first = Number(found[0]);
      assert.ok(first <= line - 9 && found.length >= 9, found.join());
      assert.deepEqual(
        found,
        found.map((_line, index) => `${first + index}`),
      );
    }
  });

  it('goes on with what is left when its file was rotated away', async () => {
    await writeFile(path, record(1, 'first'));
    const iterator = lines({ follow: true })[Symbol.asyncIterator]();
    assert.equal((await iterator.next()).value?.data.toString(), 'first');
    await writeFile(`${path}.1`, record(1, 'first') + record(5, 'second'));
    await unlink(path);
    await writeFile(path, record(6, 'third'));
    assert.equal((await iterator.next()).value?.data.toString(), 'second');
    assert.equal((await iterator.next()).value?.data.toString(), 'third');
    end();
    assert.equal((await iterator.next()).done, true);
  });

  it('begins anew when the file was truncated', async () => {
    await writeFile(path, record(1, 'long enough to be longer'));
    const iterator = lines({ follow: true })[Symbol.asyncIterator]();
    await iterator.next();
    await writeFile(path, record(2, 'short'));
    assert.equal((await iterator.next()).value?.data.toString(), 'short');
    end();
    assert.equal((await iterator.next()).done, true);
  });

  it('ends at once when aborted', async () => {
    await writeFile(path, record(1, 'x'));
    const controller = new AbortController();
    const iterator = lines({ follow: true }, undefined, controller.signal)[Symbol.asyncIterator]();
    await iterator.next();
    const waiting = iterator.next();
    controller.abort();
    assert.equal((await waiting).done, true);
  });
});
