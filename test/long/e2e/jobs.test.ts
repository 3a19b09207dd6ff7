/**
 * Goal: a time of a schedule makes one run, and a run its completions, though leaders die. Method: three managers and
 * workers, a job of every second and one of every five, the leader's daemon killed again and again; every run is looked at.
 */
import assert from 'node:assert/strict';
import { setTimeout as wait } from 'node:timers/promises';
import { compileCron, dueRuns } from '#common/cron-schedule.ts';
import { type JobRun, JobRunState, TaskState } from '#gen/swarm/v1/objects.ts';
import { IMAGE } from '#test/e2e/support/cluster.ts';
import { tell } from '#test/e2e/support/figures.ts';
import { useManagers } from '#test/e2e/support/managers.ts';

const KILLS = Number(process.env['STARLING_KILLS'] ?? 5);
const BETWEEN_KILLS_MS = 4_000;
const JOBS = [
  { name: 'second', cron: '* * * * * *', total: 1 },
  { name: 'five', cron: '*/5 * * * * *', total: 3 },
] as const;

describe(`long e2e: periodic jobs, ${KILLS} kills of leaders`, function () {
  const managers = useManagers(this, { managers: 3, workers: 2 });
  const cluster = () => managers().cluster;

  async function runsOf(name: string): Promise<readonly JobRun[]> {
    return (await cluster().client().control.getService({ reference: name })).service?.job?.runs ?? [];
  }

  it('each time makes one run or is counted as left out; no slot completes twice', async function () {
    this.timeout(900_000);
    await managers().formed();
    for (const { name, cron, total } of JOBS)
      await cluster().must([
        ...['service', 'create', '-d', '--mode', 'replicated-job', '--replicas', String(total), '--name', name],
        ...['--schedule', cron, '--job-history', '100', '--constraint', 'node.role==worker', IMAGE, 'true'],
      ]);
    const seen = new Map<string, Map<number, number>>(JOBS.map(({ name }) => [name, new Map()]));
    const look = async () => {
      for (const { name } of JOBS)
        for (const { iteration, dueAtMs } of await runsOf(name)) {
          if (iteration === 0) continue;
          const known = seen.get(name)?.get(dueAtMs);
          assert.ok(known === undefined || known === iteration, `${name}: two runs for ${dueAtMs}`);
          seen.get(name)?.set(dueAtMs, iteration);
        }
    };
    for (let kill = 0; kill < KILLS; kill++) {
      await wait(BETWEEN_KILLS_MS); // the clock is what drives the jobs
      await look();
      const leader = await managers().leader();
      await cluster().lab.killDaemon(leader);
      cluster().entrance = managers().others(leader)[0] ?? '';
      await managers().leader(managers().others(leader));
      await look();
      await cluster().lab.start(leader);
      await managers().formed();
    }
    for (const { name } of JOBS) await cluster().must(['service', 'update', '--schedule-suspend', name]);
    await cluster().until(
      async () => (await Promise.all(JOBS.map(({ name }) => runsOf(name)))).flat(),
      (runs) => runs.every(({ state }) => state !== JobRunState.RUNNING && state !== JobRunState.QUEUED),
      'the last runs to end',
      60_000,
    );
    await look();
    for (const { name, cron, total } of JOBS) await check(name, cron, total, seen.get(name) ?? new Map());
  });

  async function check(name: string, cron: string, total: number, seen: ReadonlyMap<number, number>): Promise<void> {
    const { service } = await cluster().client().control.getService({ reference: name });
    const job = service?.job;
    assert.ok(job !== undefined);
    const schedule = compileCron(cron, '');
    assert.ok(!('message' in schedule));
    // Followed from the first time on: that of its first run, or of the first that was left out.
    const firstMs = Math.min(...job.runs.map(({ dueAtMs }) => dueAtMs), ...seen.keys());
    const { count } = dueRuns(schedule, firstMs - 1000, job.scheduledUntilMs, 100_000);
    assert.equal(job.iteration + job.skipped, count, `${name}: its times`);
    assert.equal(new Set(seen.values()).size, seen.size, `${name}: one run for two times`);
    const tasks = await cluster().tasks(name);
    for (const run of job.runs.filter(({ state }) => state === JobRunState.COMPLETED)) {
      const completed = tasks.filter(
        ({ jobIteration, status }) => jobIteration === run.iteration && status?.state === TaskState.COMPLETE,
      );
      assert.equal(completed.length, total, `${name}: run ${run.iteration}`);
      assert.equal(new Set(completed.map(({ slot }) => slot)).size, total);
    }
    const ended = job.runs.filter(({ state }) => state !== JobRunState.SKIPPED);
    assert.deepEqual(new Set(ended.map(({ state }) => state)), new Set([JobRunState.COMPLETED]));
    tell(`${name}: ${job.iteration} runs, ${job.skipped} left out, of ${count} times`);
  }
});
