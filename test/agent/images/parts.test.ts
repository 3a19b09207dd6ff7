/** The small parts below the store, each alone. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { gzipSync } from 'node:zlib';
import fc from 'fast-check';
import { BombGuard, unpack } from '#agent/images/archive/unpack.ts';
import { hostsIn } from '#agent/images/build/image-builder.ts';
import { classifyBuildFailure, classifyFailure, lastWords } from '#agent/images/buildah/classify-failure.ts';
import { LineSplitter } from '#agent/images/buildah/line-splitter.ts';
import { ProcessSlots } from '#agent/images/buildah/process-slots.ts';
import { IMAGE_TUNING, inheritedEnvironment } from '#agent/images/config.ts';
import { withIdleLimit } from '#agent/images/load/idle-guard.ts';
import { SharedWork } from '#agent/images/pull/shared-work.ts';
import { parseImageDocument, timeOf } from '#agent/images/storage/image-config.ts';
import { NameLock, parsePlatform } from '#agent/images/store-context.ts';
import { patternOf } from '#agent/images/view/image-filter.ts';
import { ManualClock } from '#common/clock.ts';
import { SwarmError } from '#common/errors.ts';
import { withDeadline } from '#common/system/deadline.ts';
import { never } from './store-fixture.ts';

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

describe('lines', () => {
  it('are the same however the bytes are cut', () => {
    const text = fc.string({ unit: fc.constantFrom('a', 'b', '\n', '\r', 'ü'), maxLength: 60 });
    fc.assert(
      fc.property(text, fc.integer({ min: 1, max: 7 }), (whole, pieceBytes) => {
        const bytes = Buffer.from(whole);
        const lines: string[] = [];
        const splitter = new LineSplitter(1000, (line) => lines.push(line));
        for (let start = 0; start < bytes.length; start += pieceBytes)
          splitter.push(bytes.subarray(start, start + pieceBytes));
        splitter.finish();
        const expected = whole.split('\n').map((line) => (line.endsWith('\r') ? line.slice(0, -1) : line));
        const last = whole.split('\n').at(-1);
        if (last === '') expected.pop();
        assert.deepEqual(lines, expected);
      }),
    );
  });

  it('have a bound', () => {
    const lines: string[] = [];
    const splitter = new LineSplitter(4, (line) => lines.push(line));
    splitter.push(Buffer.from('abcdefghij\nx'));
    splitter.finish();
    assert.deepEqual(lines, ['abcd', 'efgh', 'ij', 'x']);
  });
});

describe('process slots', () => {
  it('let so many in at once, in order, and refuse when the line is full', async () => {
    const slots = new ProcessSlots(2, 3);
    const finish: (() => void)[] = [];
    let running = 0;
    let most = 0;
    const work = (): Promise<void> =>
      slots.run(never(), async () => {
        running++;
        most = Math.max(most, running);
        await new Promise<void>((resolve) => finish.push(resolve));
        running--;
      });
    const all = [work(), work(), work(), work(), work()];
    await turn();
    await assert.rejects(work(), (error: unknown) => error instanceof SwarmError && error.reason === 'too-many');
    while (finish.length > 0) {
      finish.shift()?.();
      await turn();
    }
    await Promise.all(all);
    assert.equal(most, 2);
  });

  it('give a place back to those behind when one leaves the line or fails', async () => {
    const slots = new ProcessSlots(1, 5);
    let finish = (): void => {};
    const first = slots.run(never(), () => new Promise<void>((resolve) => (finish = resolve)));
    const stop = new AbortController();
    const leaving = slots.run(stop.signal, async () => {});
    const failing = slots.run(never(), () => Promise.reject(new Error('failed')));
    const last = slots.run(never(), () => Promise.resolve('done'));
    stop.abort();
    await assert.rejects(leaving, /cancelled/);
    failing.catch(() => {});
    await turn();
    finish();
    await first;
    await assert.rejects(failing, /failed/);
    assert.equal(await last, 'done');
    await assert.rejects(
      slots.run(stop.signal, async () => {}),
      /cancelled/,
    );
  });
});

describe('shared work', () => {
  it('begins anew after it has ended or failed', async () => {
    const shared = new SharedWork<number, string>();
    let begun = 0;
    const join = (): Promise<number> =>
      shared.join(
        'key',
        never(),
        () => {},
        async () => {
          begun++;
          await turn();
          if (begun === 1) throw new Error('first');
          return begun;
        },
      );
    await assert.rejects(Promise.all([join(), join()]), /first/);
    await turn();
    assert.deepEqual(await Promise.all([join(), join()]), [2, 2]);
    assert.equal(await join(), 3);
  });

  it('is told to everybody, and aborted with the last one', async () => {
    const shared = new SharedWork<void, string>();
    const heard: string[] = [];
    const stops = [new AbortController(), new AbortController()];
    let aborted = false;
    const joined = stops.map((stop, index) =>
      shared.join(
        'key',
        stop.signal,
        (event) => heard.push(`${index} ${event}`),
        (signal, emit) => {
          emit('begun');
          return new Promise((_resolve, reject) => {
            signal.addEventListener('abort', () => {
              aborted = true;
              reject(new Error('aborted'));
            });
          });
        },
      ),
    );
    for (const one of joined) one.catch(() => {});
    await turn();
    assert.deepEqual(heard, ['0 begun', '1 begun']);
    stops[0]?.abort();
    await turn();
    assert.equal(aborted, false);
    stops[1]?.abort();
    await turn();
    assert.equal(aborted, true);
  });
});

describe('name lock', () => {
  it('does one thing at a time, also after failures', async () => {
    const lock = new NameLock(new ManualClock());
    const order: number[] = [];
    const work = (index: number): Promise<void> =>
      lock.run(async () => {
        order.push(index);
        await turn();
        order.push(index);
        if (index === 1) throw new Error('failed');
      });
    const results = await Promise.allSettled([work(0), work(1), work(2)]);
    assert.deepEqual(order, [0, 0, 1, 1, 2, 2]);
    assert.deepEqual(
      results.map(({ status }) => status),
      ['fulfilled', 'rejected', 'fulfilled'],
    );
  });

  it('knows since when something is arriving', async () => {
    const clock = new ManualClock();
    const lock = new NameLock(clock);
    assert.equal(lock.arrivingSinceMs, Number.POSITIVE_INFINITY);
    let finish = (): void => {};
    const start = clock.now();
    const arriving = lock.whileArriving(() => new Promise<void>((resolve) => (finish = resolve)));
    clock.advance(1000);
    assert.equal(lock.arrivingSinceMs, start);
    finish();
    await arriving;
    assert.equal(lock.arrivingSinceMs, Number.POSITIVE_INFINITY);
  });
});

describe('idle limit', () => {
  it('ends a stream that says nothing, and no other', async () => {
    const clock = new ManualClock();
    async function* twice(): AsyncGenerator<number> {
      yield 1;
      await turn();
      yield 2;
    }
    const read: number[] = [];
    for await (const value of withIdleLimit(twice(), 100, 'the test', clock)) read.push(value);
    assert.deepEqual(read, [1, 2]);
    assert.equal(clock.nextDue(), undefined);
    async function* silent(): AsyncGenerator<number> {
      await new Promise(() => {});
      yield 1;
    }
    const next = withIdleLimit(silent(), 100, 'the test', clock).next();
    await turn();
    clock.advance(100);
    await assert.rejects(next, /no data came for the test within 0.1 s/);
  });

  it('gives the reader all the time it wants', async () => {
    const clock = new ManualClock();
    async function* two(): AsyncGenerator<number> {
      yield 1;
      yield 2;
    }
    const stream = withIdleLimit(two(), 100, 'the test', clock);
    assert.equal((await stream.next()).value, 1);
    assert.equal(clock.nextDue(), undefined);
    clock.advance(1000);
    assert.equal((await stream.next()).value, 2);
  });
});

describe('unpacking', () => {
  const LIMITS = IMAGE_TUNING.archive;
  const plain = Buffer.alloc(64 * 1024, 'x');
  const packed = gzipSync(Buffer.concat(Array.from({ length: 100 }, () => randomBytes(10_000))));
  const damaged = Buffer.concat([packed.subarray(0, 20), Buffer.alloc(10_000, 1)]);

  /** The source has no end; `read` is after how many pieces the reader goes away, if nothing else ends it. */
  async function closesItsSource(archive: Buffer, read?: number, limits = LIMITS): Promise<void> {
    const closed = Promise.withResolvers<void>();
    async function* source(): AsyncGenerator<Buffer> {
      try {
        for (;;) for (let start = 0; start < archive.length; start += 1000) yield archive.subarray(start, start + 1000);
      } finally {
        closed.resolve();
      }
    }
    const pieces = unpack(source(), new BombGuard(limits, 'archiveBytesMax'));
    try {
      for (let count = 0; read === undefined || count < read; count++) await pieces.next();
    } catch (thrown) {
      assert.ok(thrown instanceof SwarmError, String(thrown));
    }
    await pieces.return(undefined);
    await withDeadline(closed.promise, 5_000, 'the source to be closed');
  }

  it('lets go of its source when the reader goes away, at the first piece too', async () => {
    for (const archive of [plain, packed]) for (const read of [1, 2, 5]) await closesItsSource(archive, read);
  });

  it('lets go of its source when the data is damaged, or too much', async () => {
    await closesItsSource(damaged);
    for (const archive of [plain, packed])
      await closesItsSource(archive, undefined, { ...LIMITS, archiveBytesMax: 500 });
  });
});

describe('what buildah says', () => {
  const cases: readonly (readonly [text: string, reason: string])[] = [
    [
      'Error: initializing source docker://r/ms:9: reading manifest 9 in r/ms: manifest unknown: manifest unknown',
      'image-not-found',
    ],
    ['Error: reading manifest 1 in r/ms: unauthorized: authentication required', 'image-auth'],
    [
      'Error: pinging container registry r: Get "https://r/v2/": x509: certificate signed by unknown authority',
      'registry-tls',
    ],
    [
      'Error: pinging container registry r: Get "https://r/v2/": http: server gave HTTP response to HTTPS client',
      'registry-tls',
    ],
    [
      'Error: pinging container registry r: Get "https://r/v2/": dial tcp 127.0.0.1:1: connect: connection refused',
      'registry-unreachable',
    ],
    ['Error: dial tcp: lookup nowhere.invalid: no such host', 'registry-unreachable'],
    [
      'time="x" level=error msg="writing blob: adding layer with blob \\"sha256:0\\": write /x: no space left on device"',
      'disk-full',
    ],
    ['Error: short-name "nosuch" did not resolve to an alias', 'image-not-found'],
    ['Error: nosuch: image not known', 'image-not-found'],
    ['Error: loading tar component manifest.json: unexpected EOF', 'image-invalid'],
    [
      'Error: choosing an image from manifest list docker://r/x: no image found in manifest list for architecture amd64',
      'image-not-found',
    ],
    ['Error: something that nobody has seen before', 'build-failed'],
    ['', 'build-failed'],
  ];
  for (const [text, reason] of cases)
    it(`means ${reason}: ${text.slice(-60)}`, () => {
      const error = classifyFailure('the operation', text, 'build-failed');
      assert.equal(error.reason, reason);
      assert.match(error.message, /^the operation failed: /);
      assert.ok(error.message.length < 1000);
    });

  it('is reduced to its point', () => {
    assert.equal(lastWords('noise\ntime="t" level=error msg="the \\"point\\""\n'), 'the \\"point\\"');
    assert.equal(lastWords('STEP 1\nError: the point\nmore\n'), 'the point');
    assert.ok(lastWords(`Error: ${'x'.repeat(10_000)}`).length < 600);
  });

  it('names the step of a build', () => {
    const error = classifyBuildFailure(
      'the build',
      'Error: building at STEP "RUN exit 7": while running runtime: exit status 7',
      7,
    );
    assert.equal(error.message, "the build failed: The command 'exit 7' returned a non-zero code: 7");
    assert.equal(
      classifyBuildFailure('the build', 'Error: building at STEP "RUN curl x": connection refused: exit status 1', 1)
        .reason,
      'build-failed',
    );
    assert.equal(
      classifyBuildFailure('the build', 'Error: creating build container: dial tcp: connection refused', 125).reason,
      'registry-unreachable',
    );
  });
});

describe('image configs', () => {
  it('take what is there and leave the rest empty', () => {
    const document = parseImageDocument('{}', 'x');
    assert.deepEqual(document.config.env, []);
    assert.deepEqual(document.diffIds, []);
    assert.equal(document.config.user, undefined);
    const nulls = parseImageDocument(
      '{"config":{"Env":null,"Entrypoint":null,"Volumes":null,"Labels":null,"Healthcheck":null},"history":null}',
      'x',
    );
    assert.deepEqual([nulls.config.entrypoint, nulls.config.volumes, nulls.config.healthcheck], [[], [], undefined]);
  });

  it('do not become anything but data', () => {
    const text = '{"config":{"Labels":{"__proto__":"x"},"Volumes":{"__proto__":{}}},"__proto__":{"polluted":1}}';
    const { config } = parseImageDocument(text, 'x');
    assert.deepEqual(Object.keys(config.labels), ['__proto__']);
    assert.deepEqual(config.volumes, ['__proto__']);
    assert.equal(({} as Record<string, unknown>)['polluted'], undefined);
  });

  it('never throw anything but a refusal', () => {
    const keys = ['config', 'rootfs', 'diff_ids', 'history', 'Env', 'Labels', 'Healthcheck', 'Test', 'created', 'os'];
    const json = fc.letrec((tie) => ({
      value: fc.oneof(
        { depthSize: 'small' },
        fc.string(),
        fc.integer(),
        fc.constant(null),
        fc.boolean(),
        fc.array(tie('value'), { maxLength: 3 }),
        fc.dictionary(fc.constantFrom(...keys), tie('value'), { maxKeys: 4 }),
      ),
    })).value;
    fc.assert(
      fc.property(json, (value) => {
        try {
          parseImageDocument(JSON.stringify(value), 'x');
        } catch (error) {
          assert.ok(error instanceof SwarmError && error.reason === 'image-invalid', String(error));
        }
      }),
    );
  });

  it('have a time, or none', () => {
    assert.equal(timeOf('2026-01-02T03:04:05.678901234Z'), Date.UTC(2026, 0, 2, 3, 4, 5, 678));
    assert.equal(timeOf('yesterday'), 0);
  });
});

describe('details', () => {
  it('find the registries that a Dockerfile speaks of', () => {
    const text =
      'ARG R=r.example:5000\nFROM r.example:5000/a AS x\nFROM localhost/b\nFROM 127.0.0.1:1/c\nRUN curl https://web.example/x\nCOPY --from=[::1]:5/d . .\nFROM plain/e\n';
    assert.deepEqual(hostsIn([text]), ['r.example:5000', 'localhost', '127.0.0.1:1', '[::1]:5']);
  });

  it('pass nothing of the environment on but proxies', () => {
    assert.deepEqual(inheritedEnvironment({ https_proxy: 'p', NO_PROXY: 'n', SECRET: 's', PATH: '/' }), {
      NO_PROXY: 'n',
      https_proxy: 'p',
    });
  });

  it('read platforms', () => {
    assert.deepEqual(parsePlatform('linux/arm64/v8'), { os: 'linux', architecture: 'arm64' });
    assert.equal(parsePlatform('').os, 'linux');
    for (const bad of ['linux', 'linux/', '/amd64', 'linux/--x', 'a/b/c/d', 'Linux/AMD64'])
      assert.throws(() => parsePlatform(bad), /not a platform/);
  });

  it('match patterns as Go does', () => {
    const matches = (pattern: string, text: string): boolean => patternOf(pattern).test(text);
    assert.ok(matches('a*c', 'abbc') && matches('a?c', 'abc') && matches('[a-c]x', 'bx') && matches('\\*', '*'));
    assert.ok(matches('**x', 'aax') && matches('a.c', 'a.c') && matches('[^a]', 'b'));
    assert.ok(!matches('a*c', 'a/c') && !matches('a?c', 'a/c') && !matches('a.c', 'abc') && !matches('[^a]', 'a'));
    assert.throws(() => patternOf('[a'), /not a pattern/);
  });
});
