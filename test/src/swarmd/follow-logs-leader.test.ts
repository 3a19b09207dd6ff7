/**
 * Goal: who follows logs at any manager goes on when the lead moves. Method: three managers on loopback with all of their
 * API; an agent that answers by hand.
 */
import assert from 'node:assert/strict';
import { withDeadline } from '#common/system/deadline.ts';
import { LogBrokerService, LogOptions, LogSelector, LogsService, PublishLogsRequest } from '#gen/swarm/v1/logs.ts';
import { Task, TaskState, TaskStatus } from '#gen/swarm/v1/objects.ts';
import { createClient } from '#proto/grpc/client.ts';
import type { ManagerOnLoopback } from './support/manager-on-loopback.ts';
import { ThreeManagers, WAIT_MS } from './support/three-managers.ts';

const REQUEST = {
  selector: LogSelector.create({ serviceIds: ['s'] }),
  options: LogOptions.create({ follow: true, tail: -1 }),
};

describe('followed logs, when the lead moves', () => {
  let swarm: ThreeManagers;

  beforeEach(async () => {
    swarm = await ThreeManagers.start();
    const status = TaskStatus.create({ state: TaskState.RUNNING });
    const task = Task.create({ id: 't', serviceId: 's', nodeId: swarm.callerId, status });
    await swarm.a.store.commit([{ kind: 'create', table: 'task', object: task }]);
  });
  afterEach(() => swarm.close());

  /** An agent with one task: answers the next question with these lines, and goes on. Gives the question's options. */
  async function answer(manager: ManagerOnLoopback, ...lines: readonly string[]): Promise<LogOptions | undefined> {
    const { caller, callerId } = swarm;
    const agent = createClient(LogBrokerService, manager.connect(caller));
    const { value } = await withDeadline(agent.listenSubscriptions({}).next(), WAIT_MS, 'a reader');
    const subscriptionId = value?.subscriptionId ?? '';
    const messages = lines.map((text, index) => {
      const data = Buffer.from(text);
      return { taskId: 't', nodeId: callerId, serviceId: 's', timestampUs: 7 + index, stream: 1, data } as const;
    });
    await agent.publishLogs([PublishLogsRequest.create({ subscriptionId, messages })]);
    return value?.options;
  }

  for (const [where, name] of [
    ['the leader of before', 'a'],
    ['a manager that follows', 'b'],
    ['the next leader', 'c'],
  ] as const)
    it(`go on where they were: a reader at ${where}`, async () => {
      const { a, c, caller, elect } = swarm;
      const answers = answer(a, 'one', 'two');
      const reading = createClient(LogsService, swarm[name].connect(caller)).subscribeLogs(REQUEST);
      const lines: string[] = [];
      const told: string[] = [];
      const until = async (count: number): Promise<void> => {
        while (lines.length < count) {
          const { value, done } = await withDeadline(reading.next(), WAIT_MS, 'lines');
          assert.ok(done !== true, 'it goes on');
          lines.push(...value.messages.map(({ data }) => Buffer.from(data).toString()));
          told.push(...value.warnings);
        }
      };
      await until(2);
      assert.equal((await answers)?.resume, undefined);
      elect(undefined);
      elect(c);
      // The node sends its last line once more, as it must: others may have been written in the same moment.
      const next = answer(c, 'one', 'two', 'three');
      await until(3);
      assert.deepEqual(lines, ['one', 'two', 'three']);
      assert.deepEqual((await next)?.resume?.tasks, [
        { taskId: 't', lastUs: 8, streams: [{ stream: 1, timestampUs: 8, lines: 1 }] },
      ]);
      // Of the first question, if it came before the agent.
      assert.ok(told.length <= 1, told.join());
      await reading.return?.();
    });
});
