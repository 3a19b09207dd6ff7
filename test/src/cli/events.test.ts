/**
 * Goal: `swarm events` shows what a reader of Docker's expects, goes on after a break where it was, and says what is missing;
 * `swarm audit` shows and verifies. Method: the command line in this process, with a daemon that breaks as told.
 */
import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { SwarmError } from '#common/errors.ts';
import { AuditService, ReadAuditResponse, VerifyAuditResponse } from '#gen/swarm/v1/audit.ts';
import { EventService, type ListEventsRequest, ListEventsResponse } from '#gen/swarm/v1/events.ts';
import { Event, EventActor, EventActorKind } from '#gen/swarm/v1/objects.ts';
import { AuditLog } from '#manager/audit/index.ts';
import { NOW_MS, runCli, scriptedClient } from './support/run-cli.ts';

const event = (version: number, init: Partial<Event> = {}): Event =>
  Event.create({
    id: `e${version}`,
    version,
    createdAtMs: NOW_MS + version,
    type: 'node',
    action: 'update',
    subjectId: 'n1',
    subjectName: 'web-1',
    actor: EventActor.create({ kind: EventActorKind.LOCAL, id: '4m0a1b2c3d4e5f6g7h8i9j0kz', name: 'm1' }),
    message: 'web-1 was updated',
    attributes: { fields: 'labels[a]' },
    ...init,
  });

const lost = () => new SwarmError({ code: 'unavailable', reason: 'shutting-down', message: 'the connection is lost' });

/** Breaks before anything is given. */
function broken(): readonly ListEventsResponse[] {
  throw lost();
}

/** Answers one call after the other; a function throws where the daemon breaks. */
function daemon(...answers: readonly (() => AsyncGenerator<ListEventsResponse>)[]) {
  const requests: Partial<ListEventsRequest>[] = [];
  const client = scriptedClient(EventService, {
    listEvents: (request) => {
      requests.push(request);
      const answer = answers[requests.length - 1];
      if (answer === undefined) throw new Error('it was asked more often than the test expects');
      return answer();
    },
  });
  return { requests, api: { events: client } };
}

const page = (events: readonly Event[], version: number, gap = false) =>
  ListEventsResponse.create({ events, version, gap });

describe('swarm events', () => {
  it('prints a line each, as Docker does, with who did it and the version', async () => {
    const { api } = daemon(async function* () {
      yield page([event(7)], 7);
      yield page(
        [event(9, { type: 'token', action: 'rotate', subjectId: '', subjectName: 'worker', attributes: {} })],
        9,
      );
    });
    const { stdout, exitCode } = await runCli(['events', '--no-follow'], { api });
    assert.equal(exitCode, 0);
    assert.deepEqual(stdout.trimEnd().split('\n'), [
      '2026-06-06T07:08:09.007000000Z node update n1 (fields=labels[a], name=web-1, by=root@m1, version=7)',
      '2026-06-06T07:08:09.009000000Z token rotate (name=worker, by=root@m1, version=9)',
    ]);
  });

  it('prints JSON with the names that Docker has, and templates', async () => {
    const answer = async function* () {
      yield page([event(7), event(8)], 8);
    };
    const lines = await runCli(['events', '--no-follow', '--format', 'json'], daemon(answer));
    const [first] = lines.stdout.split('\n');
    const { Type, Action, Actor, scope, time, timeNano, Version, By } = JSON.parse(first ?? '') as Record<
      string,
      unknown
    >;
    assert.deepEqual([Type, Action, scope, Version], ['node', 'update', 'swarm', 7]);
    assert.deepEqual(Actor, { ID: 'n1', Attributes: { fields: 'labels[a]', name: 'web-1' } });
    assert.equal(time, Math.floor(NOW_MS / 1000));
    assert.equal(timeNano, (NOW_MS + 7) * 1e6);
    assert.deepEqual(By, { Kind: 'local', ID: '4m0a1b2c3d4e5f6g7h8i9j0kz', Name: 'm1', Peer: '' });
    const whole = await runCli(['events', '--no-follow', '-o', 'json'], daemon(answer));
    assert.equal((JSON.parse(whole.stdout) as unknown[]).length, 2);
    const format = '{{.Version}} {{.Type}} {{.Actor.ID}} {{.By.Name}}: {{.Message}}';
    const shown = await runCli(['events', '--no-follow', '--format', format], daemon(answer));
    assert.equal(shown.stdout, '7 node n1 m1: web-1 was updated\n8 node n1 m1: web-1 was updated\n');
  });

  it('goes on where it was after a break, without gaps or doubles, and says once that there was one', async () => {
    const { api, requests } = daemon(
      async function* () {
        yield page([event(7)], 7);
        throw lost();
      },
      async function* () {
        yield* broken();
      },
      async function* () {
        yield page([event(8)], 8);
        yield page([], 12);
      },
      async function* () {
        yield page([event(13)], 13, true);
        throw new SwarmError({ code: 'denied', reason: 'wrong-role', message: 'not any more' });
      },
    );
    const { stdout, stderr, exitCode } = await runWithTime(['events', '--since', 'v5', '--filter', 'type=node'], api);
    assert.deepEqual(stdout.match(/version=\d+/g), ['version=7', 'version=8', 'version=13']);
    assert.deepEqual(
      requests.map(({ afterVersion, types, onlyNew }) => [afterVersion, types, onlyNew]),
      [5, 7, 7, 12].map((after) => [after, ['node'], false]),
    );
    assert.equal(stderr.match(/trying again/g)?.length, 1);
    assert.match(stderr, /WARNING: events after version 12 are missing/);
    assert.match(stderr, /not any more/);
    assert.equal(exitCode, 1);
  });

  it('shows what comes from now on when no beginning is given, and ends at --until', async () => {
    const ended = async function* () {
      yield page([], 7);
    };
    const { api, requests } = daemon(ended, ended, ended);
    await runCli(['events', '--until', '2026-06-06T07:08:08Z'], { api });
    await runCli(['events', '--no-follow', '--since', '10m'], { api });
    await runCli(['events', '--until', '1s', '--filter', 'event=join', '--filter', 'actor=ci'], { api });
    assert.deepEqual(
      requests.map(({ follow, onlyNew, sinceMs, untilMs, actions, actors }) => [
        follow,
        onlyNew,
        sinceMs,
        untilMs,
        actions,
        actors,
      ]),
      [
        [false, false, 0, NOW_MS - 1000, [], []],
        [false, false, NOW_MS - 600_000, 0, [], []],
        [false, false, 0, NOW_MS - 1000, ['join'], ['ci']],
      ],
    );
    const { api: following, requests: asked } = daemon(async function* () {
      yield page([], 7);
      throw new SwarmError({ code: 'denied', reason: 'wrong-role', message: 'enough' });
    });
    await runCli(['events'], { api: following });
    assert.deepEqual([asked[0]?.follow, asked[0]?.onlyNew], [true, true]);
  });

  it('says what is wrong before anything is asked', async () => {
    for (const [words, message] of [
      [['events', '--since', 'yesterday'], /invalid value for "since"/],
      [['events', '--since', 'v-1'], /invalid value for "since"[^]*, or v1234\n/],
      [['events', '--since', 'v99999999999999999999'], /no version/],
      [['events', '--follow', '--no-follow'], /cannot be used together/],
      [['events', '--filter', 'colour=red'], /invalid filter/],
      [['events', '--format', '{{.Nope'], /template/],
      [['events', '-o', 'json', '--format', 'json'], /cannot be used together/],
      [['events', 'web'], /no arguments/],
      [['audit', 'erase'], /unknown word/],
      [['audit', '--since', 'x'], /invalid value for "since"/],
      [['audit', 'verify', '--since', '1h'], /first line to its last/],
      [['audit', 'verify', '/nonexistent/audit.log'], /^open \/nonexistent\/audit\.log: no such file or directory\n/],
      [['audit', 'verify', '/'], /^\/ is no file of lines\nHint: /],
      [['audit', 'verify', '/dev/null'], /^\/dev\/null is no file of lines\nHint: /],
    ] as const) {
      const { stderr, exitCode } = await runCli(words, daemon());
      assert.notEqual(exitCode, 0, words.join(' '));
      assert.match(stderr, message);
    }
  });
});

describe('swarm audit', () => {
  const api = (problem: string) => ({
    audit: scriptedClient(AuditService, {
      readAudit: async function* () {
        yield ReadAuditResponse.create({ lines: ['{"number":1}', '{"number":2}'] });
        yield ReadAuditResponse.create({ lines: [] });
      },
      verifyAudit: async () => VerifyAuditResponse.create({ lines: 2, lastHash: 'abcd', problem }),
    }),
  });

  it('prints the lines as they are', async () => {
    const { stdout } = await runCli(['audit'], { api: api('') });
    assert.equal(stdout, '{"number":1}\n{"number":2}\n');
  });

  it('says so where there are none', async () => {
    const none = async function* () {
      yield ReadAuditResponse.create({ lines: [] });
    };
    const audit = scriptedClient(AuditService, { readAudit: none });
    const { stdout, stderr, exitCode } = await runCli(['audit'], { api: { audit } });
    assert.deepEqual([stdout, exitCode], ['', 0]);
    assert.match(stderr, /^This node has no lines of that time: managers keep the record/);
    assert.equal((await runCli(['audit'], { api: api('') })).stderr, '');
  });

  it('says whether they are as they were written', async () => {
    const good = await runCli(['audit', 'verify'], { api: api('') });
    assert.match(good.stdout, /^2 lines are as they were written\. The last one has hash abcd/);
    const bad = await runCli(['audit', 'verify'], { api: api('line 2 of audit.log was changed') });
    assert.equal(bad.exitCode, 1);
    assert.match(bad.stderr, /the audit log was changed: line 2 of audit\.log was changed/);
  });

  it('verifies a file that was put aside, without a daemon', async () => {
    const directory = await mkdtemp(join(tmpdir(), 'audit-'));
    try {
      const log = await AuditLog.open(directory, { fileBytes: 1e6, files: 2 });
      await log.append([1, 2].map((version) => ({ kind: 'event', cluster: 'c', event: event(version) }) as const));
      await log.close();
      const path = join(directory, 'audit.log');
      assert.match((await runCli(['audit', 'verify', path], { api: {} })).stdout, /^2 lines are as/);
      for (const nothing of ['', '{"half":']) {
        await writeFile(path, nothing);
        const empty = await runCli(['audit', 'verify', path], { api: {} });
        assert.equal(empty.exitCode, 1);
        assert.match(empty.stderr, /audit\.log has no lines\nHint: /);
      }
      await writeFile(path, 'x\n');
      assert.match((await runCli(['audit', 'verify', path], { api: {} })).stderr, /cannot be read: it was changed/);
    } finally {
      await rm(directory, { recursive: true });
    }
  });
});

/** Pauses between attempts are by the clock of the test, which goes on as soon as somebody waits. */
async function runWithTime(words: readonly string[], api: object) {
  const { ManualClock } = await import('#common/clock.ts');
  const clock = new ManualClock(NOW_MS);
  let done = false;
  const running = runCli(words, { api, clock }).finally(() => {
    done = true;
  });
  while (!done) {
    await new Promise(setImmediate);
    clock.advance(1000);
  }
  return running;
}
