/**
 * Goal: while a command waits it shows what Docker shows, ends when the service has stayed converged, and tells why a
 * task does not come up. Method: a service that changes by script, a clock by hand, terminal texts recorded from Docker.
 */
import assert from 'node:assert/strict';
import { ManualClock } from '#common/clock.ts';
import { ControlService, GetServiceResponse, TaskView } from '#gen/swarm/v1/control.ts';
import {
  Node,
  NodeState,
  NodeStatus,
  Service,
  Task,
  TaskState,
  TaskStatus,
  UpdatePauseReason,
  UpdateState,
  UpdateStatus,
} from '#gen/swarm/v1/objects.ts';
import { ServiceSpec } from '#gen/swarm/v1/specs.ts';
import { CliError } from '#src/cli/cli-errors.ts';
import type { CliContext } from '#src/cli/context.ts';
import { ConvergenceWatcher } from '#src/cli/progress/convergence.ts';
import { waitForService } from '#src/cli/progress/wait-for-service.ts';
import { fakeApi, scriptedClient } from '../support/run-cli.ts';
import { swarmFixture } from '../swarm-fixture.ts';

const { RUNNING, READY, PENDING, SHUTDOWN, FAILED, PREPARING } = TaskState;

const NODES = [
  Node.create({ id: 'n1', status: NodeStatus.create({ state: NodeState.READY }) }),
  Node.create({ id: 'n2', status: NodeStatus.create({ state: NodeState.DOWN }) }),
];

function service(replicas: number, more: Partial<Service> = {}): Service {
  const spec = ServiceSpec.create({ name: 'web', mode: { kind: 'replicated', value: { replicas } } });
  return Service.create({ id: 'web-id', revision: 1, spec, ...more });
}

interface TaskInit {
  readonly slot: number;
  readonly state: TaskState;
  readonly desired?: TaskState;
  readonly node?: string;
  readonly error?: string;
  readonly hold?: string;
  readonly revision?: number;
  readonly createdAtMs?: number;
}

function task({
  slot,
  state,
  desired = RUNNING,
  node = 'n1',
  error = '',
  hold = '',
  revision = 1,
  createdAtMs = 0,
}: TaskInit): TaskView {
  const status = TaskStatus.create({ state, error });
  return TaskView.create({
    task: Task.create({
      id: `t${slot}`,
      slot,
      nodeId: node,
      desiredState: desired,
      status,
      holdReason: hold,
      revision,
      createdAtMs,
    }),
  });
}

function shown(lines: readonly { readonly id: string; readonly text: string }[]): readonly string[] {
  return lines.map(({ id, text }) => `${id}: ${text.trimEnd()}`);
}

describe('cli: convergence', () => {
  const judge = (watcher: ConvergenceWatcher, replicas: number, tasks: readonly TaskView[]) =>
    watcher.judge({ service: service(replicas), tasks, nodes: NODES, isRollingBack: false });

  it('draws a line for every replica first, then what changes', () => {
    const watcher = new ConvergenceWatcher();
    const first = judge(watcher, 2, [task({ slot: 1, state: PREPARING })]);
    assert.deepEqual(shown(first.lines), [
      'overall progress: 0 out of 2 tasks',
      '1/2: ',
      '2/2: ',
      '1/2: preparing',
      'overall progress: 0 out of 2 tasks',
    ]);
    const second = judge(watcher, 2, [task({ slot: 1, state: RUNNING }), task({ slot: 2, state: RUNNING })]);
    assert.equal(second.hasConverged, true);
    assert.deepEqual(
      judge(watcher, 2, [task({ slot: 1, state: RUNNING }), task({ slot: 2, state: RUNNING })]).lines,
      [],
    );
  });

  it('says why a slot does not run, also when another task waits to take its place', () => {
    const lines = (tasks: readonly TaskView[]) => shown(judge(new ConvergenceWatcher(), 1, tasks).lines);
    assert.ok(
      lines([task({ slot: 1, state: PENDING, node: '', error: 'no suitable node' })]).includes('1/1: no suitable node'),
    );
    const failed = task({ slot: 1, state: FAILED, desired: SHUTDOWN, error: 'task: non-zero exit (1)' });
    assert.ok(
      lines([failed, task({ slot: 1, state: READY, desired: READY, createdAtMs: 5 })]).includes(
        '1/1: task: non-zero exit (1)',
      ),
    );
    const held = task({ slot: 1, state: READY, desired: READY, hold: 'restart 7 in 20 s: exit code 1' });
    assert.ok(lines([failed, held]).includes('1/1: restart 7 in 20 s: exit code 1'));
    assert.ok(lines([failed, task({ slot: 1, state: RUNNING })]).includes('1/1: running'));
    const long = task({ slot: 1, state: PENDING, node: '', error: `${'x'.repeat(80)}\ny` });
    assert.ok(lines([long]).includes(`1/1: ${'x'.repeat(74)}…`));
  });

  it('counts no task of another revision, on a lost node, or about to end', () => {
    const count = (one: TaskView) => shown(judge(new ConvergenceWatcher(), 1, [one]).lines).at(-1);
    assert.equal(count(task({ slot: 1, state: RUNNING })), 'overall progress: 1 out of 1 tasks');
    for (const other of [
      { revision: 2 },
      { node: 'n2' },
      { node: 'gone' },
      { desired: SHUTDOWN },
      { desired: TaskState.REMOVE },
    ])
      assert.equal(
        count(task({ slot: 1, state: RUNNING, ...other })),
        'overall progress: 0 out of 1 tasks',
        JSON.stringify(other),
      );
  });

  it('shows only the number of many tasks', () => {
    const { lines } = judge(new ConvergenceWatcher(), 21, [task({ slot: 1, state: RUNNING })]);
    assert.deepEqual(shown(lines), ['overall progress: 0 out of 21 tasks', 'overall progress: 1 out of 21 tasks']);
  });

  it('a global service counts its nodes, and waits for the first', () => {
    const global = service(0, { spec: ServiceSpec.create({ mode: { kind: 'global', value: {} } }) });
    const watcher = new ConvergenceWatcher();
    const none = watcher.judge({ service: global, tasks: [], nodes: NODES, isRollingBack: false });
    assert.deepEqual(none, { hasConverged: false, lines: [{ id: 'overall progress', text: 'waiting for new tasks' }] });
    const one = watcher.judge({
      service: global,
      tasks: [task({ slot: 0, state: RUNNING })],
      nodes: NODES,
      isRollingBack: false,
    });
    assert.equal(one.hasConverged, true);
    assert.deepEqual(shown(one.lines), [
      'overall progress: 0 out of 1 tasks',
      'n1: running',
      'overall progress: 1 out of 1 tasks',
    ]);
  });
});

/** What the service and its tasks are at a time of the clock. */
type Script = (atMs: number) => { readonly service: Service; readonly tasks: readonly TaskView[] };

interface Wait {
  readonly output: () => string;
  readonly done: Promise<void>;
  readonly clock: ManualClock;
  readonly interrupt: () => void;
}

function startWait(script: Script, columns?: number, knownStatus?: UpdateStatus, expectsRollback = false): Wait {
  const clock = new ManualClock();
  let output = '';
  let interrupt = (): void => {};
  const now = () => script(clock.monotonic());
  const control = scriptedClient(ControlService, {
    getService: async () => GetServiceResponse.create({ service: now().service }),
    listTasks: async function* () {
      yield { tasks: now().tasks };
    },
    listNodes: async function* () {
      yield { nodes: NODES };
    },
  });
  const stdout = {
    write: (text: string | Uint8Array) => {
      output += String(text);
    },
    isTerminal: columns !== undefined,
    columns,
  };
  const context: CliContext = {
    stdout,
    stderr: stdout,
    stdin: { isTerminal: false, chunks: async function* () {} },
    endpoint: async () => ({ kind: 'socket', path: '' }),
    configDirectory: '',
    variables: {},
    clock,
    onInterrupt: (callback: () => void) => {
      interrupt = callback;
      return () => {};
    },
    api: async () => ({ ...fakeApi(swarmFixture(0)), control }),
  };
  const options = { context, serviceId: 'web-id', reference: 'web', knownStatus, isQuiet: false, expectsRollback };
  const done = waitForService(options);
  return { output: () => output, done, clock, interrupt: () => interrupt() };
}

/** Lets the wait look as often as it would within the time. */
async function pass(wait: Wait, ms: number): Promise<void> {
  for (let passed = 0; passed < ms; passed += 100) {
    for (let turn = 0; turn < 20; turn++) await Promise.resolve();
    wait.clock.advance(100);
  }
  for (let turn = 0; turn < 20; turn++) await Promise.resolve();
}

const ONE_RUNNING: Script = () => ({ service: service(1), tasks: [task({ slot: 1, state: RUNNING })] });

describe('cli: waiting for a service', () => {
  it('ends when it stayed converged for the time to monitor', async () => {
    const wait = startWait((atMs) => ({
      service: service(1),
      tasks: [task({ slot: 1, state: atMs < 1000 ? PREPARING : RUNNING })],
    }));
    await pass(wait, 7000);
    await wait.done;
    assert.equal(
      wait.output(),
      [
        'overall progress: 0 out of 1 tasks',
        '1/1:  ',
        'overall progress: 1 out of 1 tasks',
        ...[5, 4, 3, 2, 1].map((left) => `verify: Waiting ${left} seconds to verify that tasks are stable...`),
        'verify: Service web converged',
        '',
      ].join('\n'),
    );
  });

  it('shows how it ended though the update was over between two looks', async () => {
    const updateStatus = UpdateStatus.create({ state: UpdateState.COMPLETED, startedAtMs: 1 });
    const wait = startWait((atMs) =>
      atMs < 300
        ? { service: service(1), tasks: [task({ slot: 1, state: PREPARING })] }
        : { service: service(1, { updateStatus }), tasks: [task({ slot: 1, state: RUNNING })] },
    );
    await pass(wait, 1000);
    await wait.done;
    assert.match(wait.output(), /\noverall progress: 1 out of 1 tasks\nverify: Service web converged\n$/);
  });

  it('begins anew when a task fails meanwhile', async () => {
    const wait = startWait((atMs) => ({
      service: service(1),
      tasks: [
        task({
          slot: 1,
          state: atMs >= 2000 && atMs < 3000 ? FAILED : RUNNING,
          error: atMs >= 2000 && atMs < 3000 ? 'boom' : '',
        }),
      ],
    }));
    await pass(wait, 10_000);
    await wait.done;
    assert.match(
      wait.output(),
      /verify: Detected task failure\n[^]*1 out of 1 tasks\nverify: Waiting 5 seconds[^]*converged\n$/,
    );
    assert.match(wait.output(), /^1\/1: boom$/m);
  });

  it('leaves the service alone when interrupted, and says so', async () => {
    const wait = startWait(() => ({ service: service(1), tasks: [task({ slot: 1, state: PREPARING })] }));
    await pass(wait, 500);
    wait.interrupt();
    await wait.done;
    assert.match(
      wait.output(),
      /Operation continuing in background\.\nUse `swarm service ps web` to check progress\.\n$/,
    );
  });

  it('draws over its lines on a terminal, as Docker does', async () => {
    const wait = startWait(ONE_RUNNING, 200);
    await pass(wait, 100);
    const bar = `[${'='.repeat(50)}>] `;
    assert.equal(
      wait.output(),
      '\n\x1b[1A\x1b[2K\roverall progress: 0 out of 1 tasks \r\x1b[1B' +
        '\n\x1b[1A\x1b[2K\r1/1:   \r\x1b[1B' +
        `\x1b[1A\x1b[2K\r1/1: running   ${bar}\r\x1b[1B` +
        '\x1b[2A\x1b[2K\roverall progress: 1 out of 1 tasks \r\x1b[2B' +
        '\n\x1b[1A\x1b[2K\rverify: Waiting 5 seconds to verify that tasks are stable... \r\x1b[1B',
    );
    wait.interrupt();
    await wait.done;
  });

  it('fails when the update is paused, but not for an old pause', async () => {
    const paused = UpdateStatus.create({
      state: UpdateState.PAUSED,
      startedAtMs: 1,
      message: 'update paused due to failure',
    });
    const script: Script = () => ({
      service: service(1, { updateStatus: paused }),
      tasks: [task({ slot: 1, state: RUNNING })],
    });
    const news = startWait(script);
    await assert.rejects(news.done, (thrown) => {
      assert.ok(thrown instanceof CliError);
      assert.equal(thrown.message, 'service update paused: update paused due to failure');
      return true;
    });
    const old = startWait(script, undefined, paused);
    await pass(old, 7000);
    await old.done;
    assert.match(old.output(), /converged/);
  });

  it('shows a rollback as one', async () => {
    const status = UpdateStatus.create({
      state: UpdateState.ROLLBACK_STARTED,
      startedAtMs: 1,
      message: 'update rolled back due to failure',
    });
    const wait = startWait(() => ({ service: service(1, { updateStatus: status }), tasks: [] }));
    await pass(wait, 300);
    assert.match(
      wait.output(),
      /^rollback: update rolled back due to failure\noverall progress: rolling back update: 0 out of 1 tasks\n/,
    );
    wait.interrupt();
    await wait.done;
  });

  it('fails when the update was rolled back by itself, with the cause and what the task wrote last', async () => {
    const status = (state: UpdateState, message: string): UpdateStatus =>
      UpdateStatus.create({
        state,
        startedAtMs: 1,
        message,
        failedTask: 't9',
        failedTaskLog: ['no such table'],
      });
    const script: Script = (atMs) => {
      const updateStatus =
        atMs < 500
          ? status(UpdateState.ROLLBACK_STARTED, 'update rolled back due to task t9')
          : status(UpdateState.ROLLBACK_COMPLETED, 'rollback completed');
      return { service: service(1, { updateStatus }), tasks: [task({ slot: 1, state: RUNNING })] };
    };
    const wait = startWait(script);
    const failed = assert.rejects(wait.done, (thrown: unknown) => {
      assert.ok(thrown instanceof CliError);
      assert.equal(
        thrown.message,
        'service update rolled back: update rolled back due to task t9\nlast lines of task t9:\n  no such table',
      );
      return true;
    });
    await pass(wait, 2000);
    await failed;

    const wanted = startWait(script, undefined, undefined, true);
    await pass(wanted, 2000);
    await wanted.done;
    assert.match(wanted.output(), /Service web converged\n$/);
  });

  it('does not take a rollback for its success while tasks run again for longer than updates are watched', async () => {
    const script: Script = (atMs) => {
      const state = atMs < 20_000 ? UpdateState.ROLLBACK_STARTED : UpdateState.ROLLBACK_COMPLETED;
      const updateStatus = UpdateStatus.create({ state, startedAtMs: 1, message: 'update rolled back: it failed' });
      return { service: service(1, { updateStatus }), tasks: [task({ slot: 1, state: RUNNING })] };
    };
    const wait = startWait(script);
    const failed = assert.rejects(wait.done, /service update rolled back: update rolled back: it failed/);
    await pass(wait, 21_000);
    await failed;
  });

  it('ends well when canaries wait, and says what can be done', async () => {
    const updateStatus = UpdateStatus.create({
      state: UpdateState.PAUSED,
      startedAtMs: 1,
      pauseReason: UpdatePauseReason.CANARY,
      message: 'canaries run (1 of 3 tasks); waiting to be promoted or aborted',
    });
    const wait = startWait(() => ({ service: service(3, { updateStatus }), tasks: [] }));
    await pass(wait, 1000);
    await wait.done;
    assert.match(wait.output(), /canaries: canaries run \(1 of 3 tasks\).*\nUse `swarm service rollout promote web`/);
  });

  it('counts tasks of the revision that a rollback returned to', () => {
    const watcher = new ConvergenceWatcher();
    const tasks = [task({ slot: 1, state: RUNNING, revision: 1 })];
    const snapshot = { service: service(1, { revision: 3 }), tasks, nodes: NODES, isRollingBack: true };
    assert.equal(watcher.judge(snapshot).hasConverged, false);
    assert.equal(watcher.judge({ ...snapshot, alike: new Set([1, 3]) }).hasConverged, true);
  });
});
