/**
 * Goal: what is in an audit log was done, in that order, and whoever changes it is found out; a process that dies and a disk
 * that is full leave no line half written. Method: real files, cut, changed and filled at every place.
 */
import assert from 'node:assert/strict';
import { appendFile, mkdtemp, readdir, readFile, rm, stat, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { Event } from '#gen/swarm/v1/objects.ts';
import { AuditLog, linesOfLog, verifyLines } from '#manager/audit/index.ts';
import { eventId } from '#manager/events/index.ts';

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

  it('leaves nothing of what could not be written', async () => {
    await written(2);
    const log = await AuditLog.open(directory, CONFIG);
    // As a full disk leaves it: the beginning of a line.
    await appendFile(file(), '{"number":3,"time":"20');
    await log.append([entry(3)]);
    await log.close();
    assert.deepEqual(await versions(), [1, 2, 3]);
    assert.equal((await verified()).problem, undefined);
  });

  it('is not written on when its last line is none', async () => {
    await written(2);
    await appendFile(file(), 'something else\n');
    await assert.rejects(AuditLog.open(directory, CONFIG), { reason: 'corrupt-state' });
    assert.match((await verified()).problem ?? '', /^line 3 of audit.log cannot be read/);
  });
});
