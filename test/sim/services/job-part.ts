/** Jobs in the simulation: they are updated, run and stopped while the clock runs others; every run has to end. */
import assert from 'node:assert/strict';
import { SwarmError } from '#common/errors.ts';
import { randomInt } from '#common/random.ts';
import { JobRunState, type Service, TaskState } from '#gen/swarm/v1/objects.ts';
import { JobOverlap } from '#gen/swarm/v1/specs.ts';
import type { Decision } from '#manager/control/decision.ts';
import { runJob, stopJob } from '#manager/control/jobs.ts';
import { jobShape } from '#manager/orchestrator/index.ts';
import type { StoreView } from '#manager/store/index.ts';
import type { Fate } from '#test/manager/loops/loop-cluster.ts';
import { declareJob, type JobOptions, updateJob } from '#test/manager/orchestrator/jobs/job-cluster.ts';
import { JobPromises } from '#test/manager/orchestrator/jobs/job-promises.ts';
import type { ServiceWorld, SimPart } from './service-world.ts';

const CRON = '*/3 * * * *';
/** So that every run ends, whatever it runs. */
const restart = { maxAttempts: 2, delayMs: 1000 };

const JOBS: readonly JobOptions[] = [
  { total: 4, concurrent: 2, restart },
  { global: true, restart },
  { total: 2, restart, schedule: { cron: CRON } },
  { total: 3, concurrent: 1, restart, schedule: { cron: CRON, overlap: JobOverlap.QUEUE }, historyLimit: 2 },
  { global: true, deadlineMs: 20_000, schedule: { cron: CRON, overlap: JobOverlap.REPLACE }, historyLimit: 1 },
];

export class JobPart implements SimPart {
  readonly name = 'jobs';
  readonly #promises = new JobPromises(CRON);
  #seenEvents = 0;
  #images = 0;
  #requests = 0;

  begin({ cluster }: ServiceWorld): void {
    for (const [place, options] of JOBS.entries()) declareJob(cluster, { ...options, image: 'job:0' }, `job${place}`);
  }

  happen(world: ServiceWorld): void {
    const place = randomInt(world.random, JOBS.length);
    const id = `job${place}`;
    switch (randomInt(world.random, 4)) {
      case 0: {
        const image = `${world.pick(['job', 'job', 'badjob'])}:${++this.#images}`;
        world.trace(`update ${id} to ${image}`);
        return updateJob(world.cluster, { ...JOBS[place], image }, id);
      }
      case 1:
        return this.#ask(world, `stop ${id}`, (view) => stopJob(view, id, 'local', world.cluster.nowMs));
      default: {
        const request = { reference: id, requestId: `r${++this.#requests}` };
        return this.#ask(world, `run ${id}`, (view) => runJob(view, request, world.cluster.nowMs));
      }
    }
  }

  /** Refusals are answers, too. */
  #ask<T>(world: ServiceWorld, what: string, decide: (view: StoreView) => Decision<T>): void {
    try {
      const { changes } = decide(world.cluster.store);
      world.trace(what);
      if (changes.length > 0) world.cluster.commit(...changes);
    } catch (thrown) {
      if (!(thrown instanceof SwarmError)) throw thrown;
      world.trace(`${what}: ${thrown.message}`);
    }
  }

  check({ cluster }: ServiceWorld): void {
    for (; this.#seenEvents < cluster.events.length; this.#seenEvents++) {
      const event = cluster.events[this.#seenEvents];
      if (event !== undefined) this.#promises.check(event);
    }
  }

  end({ cluster }: ServiceWorld): void {
    this.#promises.checkTimes(cluster);
    for (const service of cluster.store.all('service')) if (service.job !== undefined) this.#checkEnd(cluster, service);
  }

  #checkEnd(cluster: ServiceWorld['cluster'], { id, spec, job }: Service): void {
    const kept = new Set(job?.runs.map(({ iteration }) => iteration));
    for (const task of cluster.tasks(id)) assert.ok(kept.has(task.jobIteration), `${id}: a task of a forgotten run`);
    for (const run of job?.runs ?? []) {
      const isYoung = run.startedAtMs > cluster.nowMs - 120_000;
      const isOver = run.state !== JobRunState.RUNNING && run.state !== JobRunState.QUEUED;
      assert.ok(isOver || isYoung, `${id}: run ${run.iteration} goes on for ever`);
      if (run.state !== JobRunState.COMPLETED) continue;
      const tasks = cluster.tasks(id).filter(({ jobIteration }) => jobIteration === run.iteration);
      const completed = tasks.filter(({ status }) => status?.state === TaskState.COMPLETE);
      const slots = new Set(completed.map((task) => (task.slot > 0 ? task.slot : task.nodeId)));
      const { global, total } = jobShape(spec);
      assert.equal(slots.size, global ? run.succeeded : total, `${id}: completions of run ${run.iteration}`);
    }
  }

  fate(image: string): Fate | undefined {
    return image.startsWith('job') ? { afterMs: 1500, state: TaskState.COMPLETE } : undefined;
  }
}
