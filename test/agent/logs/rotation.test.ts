/**
 * Goal: logs stay within their limits and no line is lost on the way. Method: a real container that prints without
 * pause, its log rotated through conmon, and a reader that follows.
 */
import assert from 'node:assert/strict';
import { readdir, stat } from 'node:fs/promises';
import { DEFAULT_LOG_CONFIG, type LogLine, LogRotator, readLog } from '#agent/logs/index.ts';
import { rotateLog } from '#agent/logs/log-rotator.ts';
import { silentLogger } from '#common/log.ts';
import { systemClock } from '#common/system/clock.ts';
import { eventually } from '#test/support/eventually.ts';
import { describeInside } from '../runtime/inside.ts';
import { TestRuntime } from '../runtime/test-runtime.ts';

const CONFIG = { ...DEFAULT_LOG_CONFIG, checkMinMs: 10, checkMaxMs: 50 };
const QUERY = { follow: false, tail: undefined, sinceNs: undefined, untilNs: undefined };

async function collect(lines: AsyncIterable<LogLine>): Promise<readonly LogLine[]> {
  const all: LogLine[] = [];
  for await (const line of lines) all.push(line);
  return all;
}

describeInside(import.meta.filename, 'logs: rotation', () => {
  let under: TestRuntime;

  before(async () => {
    under = await TestRuntime.make();
  });
  after(() => under.remove());

  function logOf(id: string, maxBytes: number, maxFiles: number) {
    const { paths } = under.runtime.context;
    return {
      path: paths.log(id),
      controlPath: `${paths.bundle(id)}/ctl`,
      settings: { driver: 'file', maxBytes, maxFiles } as const,
    };
  }

  async function files(id: string): Promise<readonly string[]> {
    return (await readdir(under.runtime.context.paths.container(id)))
      .filter((name) => name.startsWith('log'))
      .toSorted();
  }

  it('keeps every line through a rotation', async () => {
    const settings = { driver: 'file', maxBytes: 1e9, maxFiles: 20 } as const;
    const hundredLines = 'for _ in $(seq 100); do echo line $n; n=$((n+1)); done';
    const script = `trap 'echo end; exit' TERM; n=0; while :; do ${hundredLines}; sleep 0.01; done`;
    const id = await under.start(['/bin/sh', '-c', script], { log: settings });
    const log = logOf(id, settings.maxBytes, settings.maxFiles);
    const source = { path: log.path, ended: under.runtime.wait(id), config: CONFIG, clock: systemClock };
    const followed = collect(readLog(source, { ...QUERY, follow: true }, new AbortController().signal));
    for (let round = 0; round < 5; round++) {
      await eventually('there is a file to rotate', async () => (await stat(log.path)).size > 20_000);
      await rotateLog(log, CONFIG);
    }
    await under.runtime.stop(id);
    const lines = (await followed).map((line) => line.data.toString());
    const expected = [...Array.from({ length: lines.length - 1 }, (_unused, index) => `line ${index}`), 'end'];
    assert.deepEqual(lines, expected);
    const again = await collect(readLog(source, QUERY, new AbortController().signal));
    assert.deepEqual(
      again.map((line) => line.data.toString()),
      expected,
    );
    assert.equal((await files(id)).length, 6);
  });

  it('rotates by itself and keeps as many files as asked', async () => {
    const id = await under.start(
      ['/bin/sh', '-c', 'while :; do echo a line of some length to fill the log with; done'],
      {
        log: { driver: 'file', maxBytes: 20_000, maxFiles: 3 },
      },
    );
    const rotator = new LogRotator({ config: CONFIG, clock: systemClock, log: silentLogger });
    rotator.add(id, logOf(id, 20_000, 3));
    try {
      await eventually('there are three files', async () => (await files(id)).length >= 3);
      const path = under.runtime.context.paths.log(id);
      const current = async (): Promise<number | undefined> => (await stat(path).catch(() => undefined))?.ino;
      for (let round = 0; round < 5; round++) {
        const before = await current();
        await eventually('it is rotated once more', async () => {
          assert.ok((await files(id)).filter((name) => /^log(\.\d+)?$/.test(name)).length <= 3);
          const now = await current();
          return now !== undefined && now !== before;
        });
      }
    } finally {
      rotator.close();
      await under.runtime.remove(id);
    }
  });

  it('keeps one file when asked for one', async () => {
    const id = await under.start(['/bin/sh', '-c', 'echo x; sleep 1000'], {
      log: { driver: 'file', maxBytes: 5000, maxFiles: 1 },
    });
    await eventually('it has printed', async () => (await under.output(id)) !== '');
    await rotateLog(logOf(id, 5000, 1), CONFIG);
    assert.deepEqual(await files(id), ['log']);
    assert.equal((await stat(under.runtime.context.paths.log(id))).size, 0);
    await under.runtime.remove(id);
  });

  it('has a backstop in conmon, should nobody rotate', async () => {
    const ended = await under.shell('yes 0123456789012345678901234567890123456789 | head -n 20000', {
      log: { driver: 'file', maxBytes: 20_000, maxFiles: 3 },
    });
    const { size } = await stat(under.runtime.context.paths.log(ended.id));
    assert.ok(size <= 100_000, `${size} bytes`);
  });

  it('keeps nothing with the driver none', async () => {
    const ended = await under.shell('echo x', { log: { driver: 'none', maxBytes: 1e6, maxFiles: 1 } });
    assert.equal(ended.code, 0);
    assert.deepEqual(await files(ended.id), []);
  });

  it('survives a monitor that is gone', async () => {
    const ended = await under.shell('echo x');
    await under.runtime.release(ended.id);
    await rotateLog(logOf(ended.id, 5000, 3), CONFIG);
    assert.deepEqual(await files(ended.id), ['log.1']);
  });
});
