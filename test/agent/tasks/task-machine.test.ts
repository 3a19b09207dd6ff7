/**
 * Goal: the task machine keeps its invariants whatever happens, and ends every life. Method: walk the usual lives by
 * hand; then random inputs, answered as an executor would, with crashes in between.
 */
import assert from 'node:assert/strict';
import fc from 'fast-check';
import {
  createMachine,
  isTerminal,
  type Step,
  step,
  type TaskAssignment,
  type TaskInput,
  type TaskMachine,
} from '#agent/tasks/index.ts';
import { ContainerStatus, Task, TaskState, TaskStatus } from '#gen/swarm/v1/objects.ts';
import { ServiceSpec } from '#gen/swarm/v1/specs.ts';

const config = { retryDelayMs: () => 100 };

function assignment(desiredState: TaskState): TaskAssignment {
  const status = TaskStatus.create({ state: TaskState.ASSIGNED });
  return {
    task: Task.create({ id: 't', desiredState, status }),
    spec: ServiceSpec.create({}),
    node: { id: 'n', hostname: 'h' },
  };
}

class Driver {
  machine: TaskMachine;
  effects: Step['effects'] = [];
  nowMs = 1000;
  readonly states: TaskState[] = [];

  constructor(desired: TaskState) {
    this.machine = createMachine(assignment(desired), undefined);
  }

  feed(input: TaskInput): this {
    const result = step(this.machine, input, this.nowMs, config);
    this.machine = result.machine;
    this.effects = result.effects;
    this.states.push(this.machine.status?.state ?? TaskState.NEW);
    return this;
  }

  desire(state: TaskState): this {
    return this.feed({ kind: 'assign', assignment: assignment(state) });
  }

  expect(...effects: string[]): this {
    assert.deepEqual(
      this.effects.map((effect) => (effect.kind === 'run' ? effect.operation : effect.kind)),
      effects,
    );
    return this;
  }

  is(state: keyof typeof TaskState): this {
    assert.equal(this.machine.status.state, TaskState[state]);
    return this;
  }
}

const prepared: TaskInput = { kind: 'prepared', prepared: { networks: [], ports: [] } };
const started: TaskInput = { kind: 'started', container: ContainerStatus.create({ containerId: 't', pid: 7 }) };
const exited = (code: number): TaskInput => ({
  kind: 'exited',
  exit: {
    container: ContainerStatus.create({ containerId: 't', exitCode: code }),
    error: code === 0 ? undefined : `task: non-zero exit (${code})`,
  },
});

function running(): Driver {
  return new Driver(TaskState.RUNNING).desire(TaskState.RUNNING).feed(prepared).feed(started);
}

describe('task machine', () => {
  it('a whole life: prepare, start, wait, clean end', () => {
    const task = new Driver(TaskState.RUNNING);
    task.desire(TaskState.RUNNING).expect('prepare').is('PREPARING');
    task.feed(prepared).expect('start').is('STARTING');
    task.feed(started).expect('wait').is('RUNNING');
    task.feed(exited(0)).expect().is('COMPLETE');
  });

  it('says how far preparing and starting are, and nothing once they are done', () => {
    const task = new Driver(TaskState.RUNNING).desire(TaskState.RUNNING);
    const progress = (message: string): TaskInput => ({ kind: 'progress', message });
    assert.equal(task.feed(progress('pulling')).machine.status.message, 'pulling');
    assert.equal(task.feed(prepared).feed(progress('listening')).machine.status.message, 'listening');
    assert.equal(task.feed(started).feed(progress('late')).machine.status.message, 'started');
    task.is('RUNNING');
  });

  it('a start that is given up stops what was started', () => {
    const task = new Driver(TaskState.RUNNING).desire(TaskState.RUNNING).feed(prepared);
    task.desire(TaskState.SHUTDOWN).expect('cancel').is('STARTING');
    task.feed({ kind: 'failed', operation: 'start', error: 'the operation was cancelled' }).expect('shutdown');
    task.feed({ kind: 'stopped' }).is('SHUTDOWN');
  });

  it('desired READY holds a prepared task until it may run', () => {
    const task = new Driver(TaskState.READY).desire(TaskState.READY).feed(prepared).expect().is('READY');
    task.desire(TaskState.RUNNING).expect('start').is('STARTING');
  });

  it('a failed prepare is REJECTED, a failed start is FAILED, a bad exit is FAILED with its code', () => {
    const early = new Driver(TaskState.RUNNING).desire(TaskState.RUNNING);
    early.feed({ kind: 'failed', operation: 'prepare', error: 'no such image' }).expect().is('REJECTED');
    assert.equal(early.machine.status.error, 'no such image');
    const late = new Driver(TaskState.RUNNING).desire(TaskState.RUNNING).feed(prepared);
    late.feed({ kind: 'failed', operation: 'start', error: 'exec format error' }).expect().is('FAILED');
    const bad = running().feed(exited(137)).is('FAILED');
    assert.equal(bad.machine.status.container?.exitCode, 137);
  });

  it('shutdown of a running task keeps the exit code and is SHUTDOWN', () => {
    const task = running().desire(TaskState.SHUTDOWN).expect('shutdown').is('RUNNING');
    task.feed(exited(143)).is('SHUTDOWN');
    assert.equal(task.machine.status.container?.exitCode, 143);
    task.feed({ kind: 'stopped' }).expect().is('SHUTDOWN');
  });

  it('shutdown during a prepare cancels it and leaves nothing to stop', () => {
    const task = new Driver(TaskState.RUNNING).desire(TaskState.RUNNING).desire(TaskState.SHUTDOWN).expect('cancel');
    task.feed({ kind: 'failed', operation: 'prepare', error: 'cancelled' }).expect().is('SHUTDOWN');
  });

  it('a desired state never goes back', () => {
    running()
      .desire(TaskState.SHUTDOWN)
      .expect('shutdown')
      .feed({ kind: 'stopped' })
      .desire(TaskState.RUNNING)
      .expect();
  });

  it('unassigned: stopped, removed, forgotten', () => {
    const task = running().feed({ kind: 'unassign' }).expect('shutdown');
    task.feed({ kind: 'stopped' }).expect('remove');
    task.feed({ kind: 'removed' }).expect();
    assert.ok(task.machine.done);
  });

  it('a shutdown that fails is tried again after its delay, not before', () => {
    const task = running().desire(TaskState.SHUTDOWN);
    task.feed({ kind: 'failed', operation: 'shutdown', error: 'stuck' }).expect();
    task.nowMs += 99;
    task.feed({ kind: 'tick' }).expect();
    task.nowMs += 1;
    task.feed({ kind: 'tick' }).expect('shutdown');
  });

  it('recovery: running is adopted, gone is FAILED, prepared is started, an exit meanwhile is reported', () => {
    const adopt = (state: TaskState, input: TaskInput): Driver => {
      const driver = new Driver(TaskState.RUNNING);
      driver.machine = createMachine(assignment(TaskState.RUNNING), TaskStatus.create({ state }));
      return driver.feed(input);
    };
    const container = ContainerStatus.create({ containerId: 't', pid: 7 });
    adopt(TaskState.RUNNING, { kind: 'found', found: { kind: 'running', container, ports: [] } })
      .expect('wait')
      .is('RUNNING');
    adopt(TaskState.RUNNING, { kind: 'found', found: { kind: 'absent' } })
      .expect()
      .is('FAILED');
    adopt(TaskState.READY, { kind: 'found', found: { kind: 'absent' } })
      .expect('prepare')
      .is('READY');
    adopt(TaskState.STARTING, { kind: 'found', found: { kind: 'prepared' } })
      .expect('start')
      .is('STARTING');
    const exit = { container: ContainerStatus.create({ exitCode: 3 }), error: 'task: non-zero exit (3)' };
    adopt(TaskState.RUNNING, { kind: 'found', found: { kind: 'exited', exit } })
      .expect()
      .is('FAILED');
  });

  it('property: states are monotonic, one operation at a time, and every task comes to an end', () => {
    const choices = fc.array(fc.record({ pick: fc.nat(9), waitMs: fc.nat(200) }), { maxLength: 60 });
    fc.assert(
      fc.property(choices, (moves) => {
        const task = new Driver(TaskState.RUNNING).desire(TaskState.RUNNING);
        for (const move of moves) {
          task.nowMs += move.waitMs;
          const input = answer(task.machine, move.pick);
          const before = task.machine.status.state;
          task.feed(input);
          assert.ok(task.machine.status.state >= before, 'a state went back');
          if (isTerminal(before)) assert.equal(task.machine.status.state, before);
          const runs = task.effects.filter((effect) => effect.kind === 'run').length;
          assert.ok(runs <= 1);
        }
        finish(task);
        assert.ok(task.machine.done);
      }),
      { numRuns: 500 },
    );
  });
});

/** An input that can happen in this state. */
function answer(machine: TaskMachine, pick: number): TaskInput {
  if (pick === 0) return { kind: 'unassign' };
  if (pick === 1) return { kind: 'assign', assignment: assignment(TaskState.SHUTDOWN) };
  if (pick === 2) return { kind: 'tick' };
  if (pick === 3 && machine.waiting) return exited(1);
  const { operation } = machine;
  if (operation === undefined) return machine.waiting && pick > 6 ? exited(0) : { kind: 'tick' };
  if (pick > 6) return { kind: 'failed', operation, error: 'broken' };
  return outcome(operation);
}

function outcome(operation: 'prepare' | 'start' | 'shutdown' | 'remove'): TaskInput {
  switch (operation) {
    case 'prepare':
      return prepared;
    case 'start':
      return started;
    case 'shutdown':
      return { kind: 'stopped' };
    case 'remove':
      return { kind: 'removed' };
  }
}

/** Takes the assignment back and lets everything succeed. */
function finish(task: Driver): void {
  task.feed({ kind: 'unassign' });
  for (let round = 0; round < 20 && !task.machine.done; round++) {
    task.nowMs += 1000;
    task.feed({ kind: 'tick' });
    const { operation } = task.machine;
    if (operation !== undefined) task.feed(outcome(operation));
  }
}
