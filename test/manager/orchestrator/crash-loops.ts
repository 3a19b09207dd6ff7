/** A service whose tasks fail over and over, each with as many last words as an agent sends. */
import { Task, TaskState } from '#gen/swarm/v1/objects.ts';
import { RestartCondition, RestartPolicy } from '#gen/swarm/v1/specs.ts';
import { LoopCluster } from '#test/manager/loops/loop-cluster.ts';
import { node, revision, service, spec } from '#test/manager/loops/objects.ts';

const NODES = 10;
/** No delay between two restarts is longer, so that every slot has failed once more. */
const STEP_MS = 300_000;
/** 4 KiB in ten lines. */
const LAST_WORDS = Array.from({ length: 10 }, (_, line) => `line ${line} `.padEnd(409, '.'));

export interface CrashOutcome {
  readonly failed: number;
  /** What the store holds afterwards. */
  readonly tasks: number;
  readonly bytes: number;
  /** Changes of objects, all that the log would hold. */
  readonly writes: number;
}

/** Lets tasks of so many slots fail, with a new leader now and then, until so many have failed. */
export function crashAtLength(options: { readonly slots: number; readonly failures: number }): CrashOutcome {
  const cluster = new LoopCluster({});
  for (let i = 1; i <= NODES; i++) cluster.create('node', node(`n${i}`));
  const restart = RestartPolicy.create({ condition: RestartCondition.ANY, delayMs: 0 });
  const declared = spec({ replicas: options.slots, restart });
  cluster.create('service', service('web', declared));
  cluster.create('revision', revision('web', 1, declared));
  let failed = 0;
  let writes = 0;
  for (let round = 0; failed < options.failures; round++) {
    cluster.nowMs += STEP_MS;
    for (let steps = 1; steps > 0; ) steps = cluster.settle() + cluster.stepAgents();
    for (const task of cluster.running()) {
      cluster.report(task, TaskState.FAILED, { error: 'task: non-zero exit (1)', lastLog: LAST_WORDS });
      failed++;
    }
    if (round % 5 === 4) cluster.changeLeader();
    writes += cluster.events.length;
    cluster.events.length = 0;
  }
  cluster.settle();
  const tasks = cluster.tasks();
  const bytes = tasks.reduce((sum, task) => sum + Task.encode(task).length, 0);
  return { failed, tasks: tasks.length, bytes, writes };
}
