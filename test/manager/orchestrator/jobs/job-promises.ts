/** What jobs have promised, whatever happens: looked at with each event, for random histories and simulations. */
import assert from 'node:assert/strict';
import { compileCron, dueRuns } from '#common/cron-schedule.ts';
import { JobRunState, JobStatus, JobTrigger, type Service, type Task, TaskState } from '#gen/swarm/v1/objects.ts';
import type { StoreEvent } from '#manager/store/index.ts';
import type { LoopCluster } from '#test/manager/loops/loop-cluster.ts';

const NO_RUNS = JobStatus.create();

export class JobPromises {
  readonly #cron: string;
  readonly #completed = new Set<string>();
  /** Iteration by job and time. */
  readonly #runs = new Map<string, number>();
  readonly #begun = new Map<string, number>();

  /** @param cron of every periodic job */
  constructor(cron: string) {
    this.#cron = cron;
  }

  check(event: StoreEvent): void {
    if (event.table === 'task' && event.kind !== 'remove') this.#checkTask(event.object, event.old);
    if (event.table === 'service' && event.kind === 'update') this.#checkRuns(event.object, event.old);
  }

  #checkTask(task: Task, old: Task | undefined): void {
    const slot = `${task.serviceId}/${task.jobIteration}/${task.slot > 0 ? task.slot : task.nodeId}`;
    if (old === undefined) assert.ok(!this.#completed.has(slot), `${slot} has completed and is begun again`);
    if (task.status?.state === TaskState.COMPLETE) this.#completed.add(slot);
    if (old === undefined) return;
    assert.ok(task.desiredState >= old.desiredState, 'desired state went back');
    assert.ok((task.status?.state ?? 0) >= (old.status?.state ?? 0), 'state went back');
    assert.equal(task.jobIteration, old.jobIteration);
  }

  #checkRuns(service: Service, old: Service): void {
    const before = old.job ?? NO_RUNS;
    const after = service.job ?? NO_RUNS;
    assert.ok(
      (after.scheduledUntilMs ?? 0) >= (before.scheduledUntilMs ?? 0) ||
        after.followedSchedule !== before.followedSchedule,
    );
    assert.ok(after.runs.filter(({ state }) => state === JobRunState.RUNNING).length <= 1, 'two runs at once');
    assert.ok(after.runs.filter(({ state }) => state === JobRunState.QUEUED).length <= 1, 'two runs wait');
    for (const run of after.runs) {
      if (run.iteration === 0) continue;
      const known = before.runs.find(({ iteration }) => iteration === run.iteration);
      if (known !== undefined && known.state !== run.state)
        assert.ok(
          known.state === JobRunState.QUEUED || known.state === JobRunState.RUNNING,
          'an ended run lives again',
        );
      if (run.trigger !== JobTrigger.SCHEDULE || known !== undefined) continue;
      const time = `${service.id} ${run.dueAtMs}`;
      assert.ok(!this.#runs.has(time), `a second run for ${time}`);
      this.#runs.set(time, run.iteration);
      this.#begun.set(service.id, (this.#begun.get(service.id) ?? 0) + 1);
    }
  }

  /** Each time that the clock has passed made a run, or was counted as left out. */
  checkTimes(cluster: LoopCluster): void {
    const schedule = compileCron(this.#cron, '');
    assert.ok(!('message' in schedule));
    for (const { id, job, createdAtMs } of cluster.store.all('service')) {
      if (job === undefined || job.scheduledUntilMs === 0) continue;
      const { count } = dueRuns(schedule, createdAtMs, job.scheduledUntilMs, 10_000);
      assert.equal((this.#begun.get(id) ?? 0) + job.skipped, count, `${id}: times of its schedule`);
    }
  }
}
