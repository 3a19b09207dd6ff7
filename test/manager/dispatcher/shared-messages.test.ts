/**
 * Goal: what many nodes are told alike is made and encoded once, and each is told what it is to be told. Method: the real
 * dispatcher under a manual clock, with sessions whose messages are recorded.
 */
import assert from 'node:assert/strict';
import { SessionResponse } from '#gen/swarm/v1/dispatcher.ts';
import { Network, NetworkAttachment, Task, TaskState } from '#gen/swarm/v1/objects.ts';
import { IpamSubnet, NetworkSpec } from '#gen/swarm/v1/specs.ts';
import { bytesOf } from '#proto/encode-once.ts';
import { RecordedSwarm, taskOn } from './recorded-swarm.ts';

describe('dispatcher: messages that are shared', () => {
  let swarm: RecordedSwarm;

  beforeEach(async () => {
    swarm = new RecordedSwarm();
    const spec = NetworkSpec.create({ name: 'back' });
    const subnets = [IpamSubnet.create({ subnet: '10.0.2.0/24', gateway: '10.0.2.1' })];
    const networks = [
      NetworkAttachment.create({ network: 'front', addresses: ['10.0.1.20'] }),
      NetworkAttachment.create({ network: 'back', addresses: ['10.0.2.20'] }),
    ];
    await swarm.update([
      { kind: 'create', table: 'network', object: Network.create({ id: 'back', spec, subnets, vni: 4098 }) },
      { kind: 'create', table: 'task', object: taskOn('elsewhere', 'both', { networks }) },
    ]);
    for (const id of ['n1', 'n2', 'elsewhere']) await swarm.open(id);
  });
  afterEach(() => swarm.dispatcher.stop('the test is over'));

  const last = (nodeId: string): SessionResponse => {
    const found = swarm.heard.get(nodeId)?.findLast(({ message }) => message?.kind === 'networks');
    assert.ok(found !== undefined);
    return found;
  };

  it('one message for all nodes that have the same networks, another for one that has more', async () => {
    await swarm.update([
      swarm.changed('t1', { desiredState: TaskState.SHUTDOWN }),
      swarm.changed('both', { desiredState: TaskState.SHUTDOWN }),
    ]);
    assert.equal(last('n1'), last('n2'));
    assert.notEqual(last('n1'), last('elsewhere'));
    assert.equal(swarm.serving('n1', 't1'), false);
    assert.equal(swarm.serving('elsewhere', 't1'), false);
    const bytes = bytesOf(SessionResponse, last('n1'));
    assert.equal(bytesOf(SessionResponse, last('n2')), bytes);
    assert.deepEqual(bytes, SessionResponse.encode(last('n1')));
    const whole = [...(swarm.heard.get('elsewhere') ?? [])].flatMap(({ message }) =>
      message?.kind === 'networks' ? message.value.changes.map(({ networkId }) => networkId) : [],
    );
    assert.deepEqual([...new Set(whole)].sort(), ['back', 'front']);
  });

  it('the same change at another commit is another message', async () => {
    await swarm.stop('t1');
    const first = last('n1');
    await swarm.update([swarm.changed('t2', { desiredState: TaskState.SHUTDOWN })]);
    assert.notEqual(last('n1'), first);
    assert.equal(last('n1'), last('n2'));
  });

  it('what is sent on one stream alone is encoded as ever', () => {
    const message = SessionResponse.create({ message: { kind: 'statusAck', value: { batch: 7 } } });
    assert.deepEqual(bytesOf(SessionResponse, message), SessionResponse.encode(message));
    assert.notEqual(bytesOf(SessionResponse, message), bytesOf(SessionResponse, message));
    assert.ok(bytesOf(Task, Task.create({ id: 't' })).length > 0);
  });
});
