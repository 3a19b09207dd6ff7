/**
 * Goal: however many containers are to begin at once, few runs of the OCI runtime do (moby#25784: hundreds of tasks on one
 * node held up its daemon). Method: a runtime that writes down when its runs begin and end, around the real one.
 */
import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describeInside } from './inside.ts';
import { TestRuntime } from './test-runtime.ts';

const CONTAINERS = 16;
const LIMITS = { createConcurrency: 3, startConcurrency: 2, removeConcurrency: 2 };

describeInside(import.meta.filename, 'runtime: many at once', () => {
  let directory: string;
  let under: TestRuntime;

  before(async () => {
    directory = await mkdtemp(join(tmpdir(), 'starling-burst-'));
    const lines = [
      '#!/bin/sh',
      '[ "$1" = --version ] && echo "noting-runtime version 1" && exit',
      'verb=; for word in "$@"; do case $word in create|start|delete) verb=${verb:-$word};; esac; done',
      `echo "$verb 1" >>${directory}/runs`,
      '[ "$verb" = start ] && sleep 0.1',
      'crun "$@"; code=$?',
      `echo "$verb -1" >>${directory}/runs`,
      'exit $code',
    ];
    await writeFile(join(directory, 'noting-runtime'), `${lines.join('\n')}\n`, { mode: 0o755 });
    under = await TestRuntime.make({ runtimeName: join(directory, 'noting-runtime'), config: LIMITS });
  });

  after(async () => {
    await under.remove();
    await rm(directory, { recursive: true });
  });

  /** The most runs at the same time, and all of them. */
  async function runsOf(verb: string): Promise<{ readonly most: number; readonly all: number }> {
    let now = 0;
    let most = 0;
    let all = 0;
    for (const line of (await readFile(join(directory, 'runs'), 'utf8')).split('\n')) {
      if (!line.startsWith(`${verb} `)) continue;
      now += Number(line.slice(verb.length + 1));
      most = Math.max(most, now);
      if (line.endsWith(' 1')) all++;
    }
    return { most, all };
  }

  it('are made, started and removed a few at a time', async () => {
    const requests = Array.from({ length: CONTAINERS }, () => under.request(['/bin/sleep', '1000']));
    await Promise.all(requests.map((request) => under.runtime.create(request)));
    await Promise.all(requests.map(({ id }) => under.runtime.start(id)));
    assert.ok(under.runtime.list().every(({ record }) => record.state.phase === 'running'));
    await Promise.all(requests.map(({ id }) => under.runtime.remove(id)));
    assert.deepEqual(under.runtime.list(), []);
    for (const [verb, limit] of [
      ['create', LIMITS.createConcurrency],
      ['start', LIMITS.startConcurrency],
      ['delete', LIMITS.removeConcurrency],
    ] as const) {
      const { most, all } = await runsOf(verb);
      assert.ok(most <= limit, `${most} at once: ${verb}`);
      assert.ok(all >= CONTAINERS, verb);
    }
  });
});
