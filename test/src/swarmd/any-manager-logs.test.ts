/** Logs through any manager: agents send lines to the leader, readers ask whomever they like. */
import assert from 'node:assert/strict';
import { withDeadline } from '#common/system/deadline.ts';
import { LogBrokerService, LogOptions, LogSelector, LogsService, PublishLogsRequest } from '#gen/swarm/v1/logs.ts';
import { Task, TaskState, TaskStatus } from '#gen/swarm/v1/objects.ts';
import type { LogBroker } from '#manager/logbroker/index.ts';
import { createClient } from '#proto/grpc/client.ts';
import { failure } from '#test/support/failure.ts';
import { ThreeManagers, WAIT_MS } from './support/three-managers.ts';

describe('any manager, for logs', () => {
  let swarm: ThreeManagers;

  beforeEach(async () => {
    swarm = await ThreeManagers.start();
    const { a, callerId } = swarm;
    const status = TaskStatus.create({ state: TaskState.RUNNING });
    await a.store.commit([
      { kind: 'create', table: 'task', object: Task.create({ id: 't', serviceId: 's', nodeId: callerId, status }) },
    ]);
  });
  afterEach(() => swarm.close());

  const REQUEST = {
    selector: LogSelector.create({ serviceIds: ['s'] }),
    options: LogOptions.create({ follow: true, tail: -1 }),
  };

  /** Resolves when an agent listens at the broker. */
  function hasListener(broker: LogBroker): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const listen = broker.listen.bind(broker);
    broker.listen = async function* (nodeId, signal) {
      const subscriptions = listen(nodeId, signal);
      const first = subscriptions.next(); // it listens from here on
      resolve();
      const { value, done } = await first;
      if (done === true) return;
      yield value;
      yield* subscriptions;
    };
    return promise;
  }

  it('brings a reader the lines that the agent sends to the leader', async () => {
    const { a, b, caller, callerId } = swarm;
    const agent = createClient(LogBrokerService, a.connect(caller));
    const listens = hasListener(a.logBroker);
    const listening = agent.listenSubscriptions({});
    const publishing = (async () => {
      const { value } = await listening.next();
      const data = Buffer.from('hello');
      const message = { taskId: 't', nodeId: callerId, serviceId: 's', timestampUs: 1, stream: 1, data } as const;
      await agent.publishLogs([
        PublishLogsRequest.create({ subscriptionId: value?.subscriptionId ?? '', messages: [message] }),
        PublishLogsRequest.create({ subscriptionId: value?.subscriptionId ?? '', done: true }),
      ]);
    })();
    // The agent listens before the reader comes.
    await withDeadline(listens, WAIT_MS, 'the agent to listen');
    const reading = createClient(LogsService, b.connect(caller)).subscribeLogs(REQUEST);
    let text = '';
    for await (const { messages, warnings } of reading) {
      assert.deepEqual(warnings, []);
      text += messages.map(({ data }) => Buffer.from(data).toString()).join();
      if (text !== '') break;
    }
    assert.equal(text, 'hello');
    await publishing;
  });

  it('takes lines on the leader only', async () => {
    const { b, caller } = swarm;
    const agent = createClient(LogBrokerService, b.connect(caller));
    assert.equal((await failure(agent.listenSubscriptions({}).next())).reason, 'not-leader');
    assert.equal((await failure(agent.publishLogs([]))).reason, 'not-leader');
  });
});
