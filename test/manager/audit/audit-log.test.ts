/**
 * Goal: what is in an audit log was done, in that order, and whoever changes it is found out; a process that dies and a disk
 * that is full leave no line half written. Method: real files, cut, changed and filled at every place.
 */
import assert from 'node:assert/strict';
import { appendFile, mkdir, mkdtemp, readdir, readFile, rename, rm, stat, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { Event } from '#gen/swarm/v1/objects.ts';
import { AuditLog, linesOfLog, verifyLines } from '#manager/audit/index.ts';
import { eventId } from '#manager/events/index.ts';
import { interceptFirstOpen, interceptFlushes } from './intercept-files.ts';

const CONFIG = { fileBytes: 1_000_000, files: 3 };

const entry = (version: number) => ({
  kind: 'event' as const,
  cluster: 'c1',
  event: Event.create({
    id: eventId({ version, position: 0, previousVersion: version - 1 }),
    version,
    createdAtMs: version * 1000,
    type: 'node',
    action: 'join',
    subjectName: `n${version}`,
  }),
});

describe('audit log', () => {
  let directory: string;
  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'audit-'));
  });
  afterEach(() => rm(directory, { recursive: true }));

  const file = () => join(directory, 'audit.log');
  const versions = async (): Promise<readonly number[]> => {
    const all: number[] = [];
    for await (const { text } of linesOfLog(directory)) all.push((JSON.parse(text) as { version: number }).version);
    return all;
  };
  const verified = () => verifyLines(linesOfLog(directory));

  async function written(count: number, config = CONFIG): Promise<void> {
    const log = await AuditLog.open(directory, config);
    for (let version = 1; version <= count; version++) await log.append([entry(version)]);
    await log.close();
  }

  it('has what was written, in its order, for root alone', async () => {
    const log = await AuditLog.open(directory, CONFIG);
    await Promise.all([log.append([entry(1), entry(2)]), log.append([entry(3)])]);
    await log.close();
    assert.deepEqual(await versions(), [1, 2, 3]);
    assert.equal((await stat(file())).mode & 0o777, 0o600);
    assert.equal((await stat(directory)).mode & 0o777, 0o700);
    const { lines, lastHash, problem } = await verified();
    assert.deepEqual([lines, problem], [3, undefined]);
    assert.equal(lastHash, log.position.hash);
  });

  it('goes on where it was, also when the process died at any byte of a line', async () => {
    await written(3);
    const whole = await readFile(file());
    const secondEnd = whole.indexOf('\n', whole.indexOf('\n') + 1) + 1;
    for (let bytes = secondEnd; bytes < whole.length; bytes += 7) {
      await writeFile(file(), whole.subarray(0, bytes));
      assert.deepEqual(await versions(), [1, 2], 'a line that is not whole is none');
      const log = await AuditLog.open(directory, CONFIG);
      assert.equal(log.position.number, 2);
      await log.append([entry(9)]);
      await log.close();
      assert.deepEqual(await versions(), [1, 2, 9]);
      assert.equal((await verified()).problem, undefined);
    }
  });

  it('is found out when any byte of it is changed, or lines are taken out, put in or swapped', async () => {
    await written(6);
    const whole = await readFile(file(), 'utf8');
    const lines = whole.trimEnd().split('\n');
    await fc.assert(
      fc.asyncProperty(fc.nat(whole.length - 2), fc.constantFrom('x', '0', '7', '}'), async (at, letter) => {
        // The last line has no other after it: it is told by the table of events, or by whoever kept its hash.
        const isLast = at >= whole.length - (lines.at(-1)?.length ?? 0) - 1;
        if (isLast || whole[at] === letter) return;
        await writeFile(file(), `${whole.slice(0, at)}${letter}${whole.slice(at + 1)}`);
        assert.notEqual((await verified()).problem, undefined, `byte ${at}`);
      }),
      { numRuns: 60 },
    );
    const changes: readonly (readonly [string, readonly string[]])[] = [
      ['taken out', lines.toSpliced(2, 1)],
      ['swapped', lines.with(2, lines[3] ?? '').with(3, lines[2] ?? '')],
      ['put in twice', lines.toSpliced(2, 0, lines[2] ?? '')],
      ['put in', lines.toSpliced(2, 0, '{"number":3}')],
    ];
    for (const [what, changed] of changes) {
      await writeFile(file(), `${changed.join('\n')}\n`);
      const { problem, lines: before } = await verified();
      assert.match(problem ?? '', /^line \d of audit\.log /, what);
      assert.ok(before <= 4);
    }
    await writeFile(file(), whole);
    assert.equal((await verified()).problem, undefined);
  });

  it('puts files aside, keeps as many as it may, and is one log over all of them', async () => {
    const small = { fileBytes: 1500, files: 3 };
    await written(20, small);
    assert.deepEqual((await readdir(directory)).sort(), ['audit.log', 'audit.log.1', 'audit.log.2']);
    for (const name of await readdir(directory))
      assert.ok((await stat(join(directory, name))).size <= small.fileBytes, name);
    const kept = await versions();
    assert.equal(kept.at(-1), 20);
    assert.deepEqual(
      kept,
      Array.from({ length: kept.length }, (_, index) => 21 - kept.length + index),
    );
    const { lines, problem } = await verified();
    assert.deepEqual([lines, problem], [kept.length, undefined]);
    await rm(join(directory, 'audit.log.1'));
    assert.match((await verified()).problem ?? '', /lines are missing/);
  });

  it('goes on in the file that was begun when the process died in between', async () => {
    const small = { fileBytes: 1500, files: 3 };
    await written(4, small);
    const last = (await versions()).at(-1);
    await writeFile(join(directory, 'audit.log.1'), await readFile(file()));
    await truncate(file(), 0);
    const log = await AuditLog.open(directory, small);
    assert.equal(log.position.number, last);
    await log.close();
  });

  it('takes no file away for one that cannot be begun, however often it is tried', async () => {
    const small = { fileBytes: 1500, files: 3 };
    await written(20, small);
    const before = await versions();
    const log = await AuditLog.open(directory, small);
    // Nothing can be opened under that name.
    await mkdir(join(directory, 'audit.log.next', 'in-the-way'), { recursive: true });
    let version = 20;
    for (let failures = 0; failures < 5 && version < 40; )
      await log.append([entry(version + 1)]).then(
        () => version++,
        () => failures++,
      );
    const during = await versions();
    assert.deepEqual(during.slice(0, before.length), before);
    assert.equal((await verified()).problem, undefined);
    await rm(join(directory, 'audit.log.next'), { recursive: true });
    await log.append([entry(version + 1)]);
    await log.close();
    assert.equal((await versions()).at(-1), version + 1);
    assert.equal((await verified()).problem, undefined);
    assert.deepEqual((await readdir(directory)).sort(), ['audit.log', 'audit.log.1', 'audit.log.2']);
  });

  it('goes on where an attempt to put files aside ended halfway, with nothing lost', async () => {
    const small = { fileBytes: 1500, files: 4 };
    await written(10, small);
    assert.deepEqual((await readdir(directory)).sort(), ['audit.log', 'audit.log.1', 'audit.log.2']);
    await rename(join(directory, 'audit.log.2'), join(directory, 'audit.log.3'));
    await rename(join(directory, 'audit.log.1'), join(directory, 'audit.log.2'));
    await writeFile(join(directory, 'audit.log.next'), '');
    const log = await AuditLog.open(directory, small);
    assert.ok(!(await readdir(directory)).includes('audit.log.next'));
    for (let version = 11; !(await readdir(directory)).includes('audit.log.1'); version++)
      await log.append([entry(version)]);
    assert.equal((await versions())[0], 1, 'the oldest was not in the way');
    assert.equal((await verified()).problem, undefined);
    // The same where the one that was written had made way already.
    await rename(join(directory, 'audit.log.3'), join(directory, 'oldest'));
    for (const age of [2, 1])
      await rename(join(directory, `audit.log.${age}`), join(directory, `audit.log.${age + 1}`));
    await rename(file(), join(directory, 'audit.log.1'));
    const kept = await versions();
    while (!(await readdir(directory)).includes('audit.log')) await log.append([entry((kept.at(-1) ?? 0) + 1)]);
    assert.deepEqual((await versions()).slice(0, kept.length), kept);
    await log.close();
  });

  it('is read as one log when a file is put aside while they are opened', async () => {
    const small = { fileBytes: 1500, files: 4 };
    for (const count of [5, 30]) {
      await written(count, small);
      const before = await readdir(directory);
      const log = await AuditLog.open(directory, small);
      let version = count;
      const current = async () => (await stat(file())).ino;
      const opening = interceptFirstOpen(async () => {
        const first = await current();
        while ((await current()) === first) await log.append([entry(++version)]);
      });
      try {
        const { lines, problem } = await verified();
        assert.equal(problem, undefined);
        assert.ok(version > count, 'a file was put aside');
        assert.equal(lines, (await versions()).length);
        assert.equal((await versions()).at(-1), version);
        assert.equal((await readdir(directory)).length, Math.min(before.length + 1, small.files));
      } finally {
        opening.restore();
        await log.close();
      }
      for (const name of await readdir(directory)) await rm(join(directory, name));
    }
  });

  it('leaves nothing of what could not be written', async () => {
    await written(2);
    const log = await AuditLog.open(directory, CONFIG);
    const flushes = await interceptFlushes(() => Promise.reject(new Error('the disk does not answer')));
    try {
      await assert.rejects(log.append([entry(8), entry(9)]), /does not answer/);
      assert.equal(log.position.number, 2);
    } finally {
      flushes.restore();
    }
    await log.append([entry(3)]);
    await log.close();
    assert.deepEqual(await versions(), [1, 2, 3]);
    assert.equal((await verified()).problem, undefined);
  });

  it('goes on where it was when the power failed and zeros are behind the last line, or behind half of one', async () => {
    await written(2);
    const whole = await readFile(file());
    for (const behind of ['', '{', '{"number":3,"time":"20'])
      for (const zeros of [1, 4096, 64 * 1024, 1_000_000]) {
        await writeFile(file(), Buffer.concat([whole, Buffer.from(behind), Buffer.alloc(zeros)]));
        const log = await AuditLog.open(directory, CONFIG);
        await log.append([entry(3)]);
        await log.close();
        assert.deepEqual(await versions(), [1, 2, 3], `${behind} and ${zeros} zeros`);
        assert.equal((await verified()).problem, undefined);
      }
    await writeFile(file(), Buffer.alloc(100_000));
    const log = await AuditLog.open(directory, CONFIG);
    assert.equal(log.position.number, 0, 'there never was a line');
    await log.close();
  });

  it('keeps everything, and is not written on, when something else is behind the last line', async () => {
    await written(2);
    const whole = await readFile(file());
    const others = ['x', `x${'\0'.repeat(70_000)}`, 'x'.repeat(70_000), `${'\0'.repeat(70_000)}x`, '{"numbers":'];
    for (const other of others) {
      const changed = Buffer.concat([whole, Buffer.from(other)]);
      await writeFile(file(), changed);
      await assert.rejects(AuditLog.open(directory, CONFIG), { reason: 'corrupt-state' });
      assert.ok((await readFile(file())).equals(changed));
    }
    await writeFile(file(), 'not a log');
    await assert.rejects(AuditLog.open(directory, CONFIG), { reason: 'corrupt-state' });
  });

  it('is not written on when its last line is none', async () => {
    await written(2);
    await appendFile(file(), 'something else\n');
    await assert.rejects(AuditLog.open(directory, CONFIG), { reason: 'corrupt-state' });
    assert.match((await verified()).problem ?? '', /^line 3 of audit.log cannot be read/);
  });
});
