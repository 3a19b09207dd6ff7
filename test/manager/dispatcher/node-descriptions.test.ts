/**
 * Goal: what a worker says of itself plays no tricks on those who read it, is no larger than it may be, and keeps no node
 * from the swarm that means well. Method: the real dispatcher with hostile hellos, descriptions and farewells.
 */
import assert from 'node:assert/strict';
import { LIMITS } from '#common/limits.ts';
import { silentLogger } from '#common/log.ts';
import { AgentHello, AgentLeaving, SessionRequest, type SessionResponse } from '#gen/swarm/v1/dispatcher.ts';
import { EngineDescription, type Node, NodeCondition, NodeDescription, NodeState } from '#gen/swarm/v1/objects.ts';
import type { DispatcherSession } from '#manager/dispatcher/index.ts';
import { NodeDescriptions } from '#manager/dispatcher/node-descriptions.ts';
import { MemoryView } from '#test/fixtures/memory-view.ts';
import { nodeOf, RecordedSwarm } from './recorded-swarm.ts';

const ESCAPE = '\u001b]0;owned\u0007';

describe('dispatcher: what nodes say of themselves', () => {
  let swarm: RecordedSwarm;

  beforeEach(() => {
    swarm = new RecordedSwarm();
  });
  afterEach(() => swarm.dispatcher.stop('the test is over'));

  const node = (): Node => {
    const found = swarm.view.get('node', 'n1');
    assert.ok(found !== undefined);
    return found;
  };

  async function hello(description: NodeDescription, advertiseAddress = ''): Promise<readonly SessionResponse[]> {
    const heard: SessionResponse[] = [];
    const output = { send: (message: SessionResponse) => void heard.push(message), end: () => {} };
    swarm.dispatcher.open('n1', AgentHello.create({ description, advertiseAddress }), '192.0.2.1', output);
    await swarm.written();
    return heard;
  }

  async function say(session: DispatcherSession, message: SessionRequest['message']): Promise<void> {
    swarm.dispatcher.receive(session, SessionRequest.create({ message }));
    await swarm.written();
  }

  it('is kept without what moves a cursor, wherever it stands', async () => {
    const engine = EngineDescription.create({
      version: `1${ESCAPE}`,
      labels: { [`zone${ESCAPE}`]: `a\n${ESCAPE}` },
      capabilities: [`overlay${ESCAPE}`],
    });
    const conditions = [NodeCondition.create({ type: 'disk-pressure', message: `${ESCAPE}full` })];
    const description = NodeDescription.create({ hostname: 'web-1', engine, conditions, featureLevel: 3 });
    await hello(description, `192.0.2.7${ESCAPE}`);
    const { description: kept, status } = node();
    assert.doesNotMatch(JSON.stringify([kept, status]), /(?<!\\)\\[un]/);
    assert.equal(kept?.engine?.labels['zone\\u001b]0;owned\\u0007'], 'a\\u000a\\u001b]0;owned\\u0007');
    assert.deepEqual([kept?.hostname, kept?.featureLevel, status?.state], ['web-1', 3, NodeState.READY]);
    const session = await swarm.open('n1');
    await say(session, { kind: 'description', value: description });
    assert.deepEqual(node().description, kept);
    await say(session, {
      kind: 'leaving',
      value: AgentLeaving.create({ reason: `bye${ESCAPE}${'x'.repeat(10_000)}` }),
    });
    const { message = '' } = node().status ?? {};
    assert.ok(message.startsWith('bye\\u001b') && message.length < 3000, message);
  });

  it('gives it no name that it could not have joined with', async () => {
    for (const hostname of [`web${ESCAPE}`, 'two words', 'w'.repeat(254), 'wéb']) {
      await hello(NodeDescription.create({ hostname, featureLevel: 3 }));
      assert.equal(node().description?.hostname, 'n1', hostname);
      assert.equal(swarm.state('n1'), NodeState.READY);
    }
    await hello(NodeDescription.create({ hostname: 'renamed' }));
    assert.equal(node().description?.hostname, 'renamed');
  });

  it('is refused when it is longer than it may be, which ends the session and says why', async () => {
    const labels = { note: 'x'.repeat(LIMITS.DESCRIPTION_BYTES) };
    const long = NodeDescription.create({ hostname: 'n1', engine: EngineDescription.create({ labels }) });
    const before = node().description;
    const heard = await hello(long);
    assert.deepEqual(
      heard.map(({ message }) => message?.kind),
      ['end'],
    );
    assert.match(JSON.stringify(heard), /more than DESCRIPTION_BYTES \(65536\): give its daemon fewer/);
    const session = await swarm.open('n1');
    await say(session, { kind: 'description', value: long });
    assert.equal(session.ended, true);
    assert.deepEqual(node().description, before);
  });

  it('is logged once where it is not taken as it is, and where the name is one that another node has', () => {
    const remarks: string[] = [];
    const descriptions = new NodeDescriptions({
      ...silentLogger,
      warn: (_message, fields = {}) => void remarks.push(String(fields['remark'])),
    });
    const view = new MemoryView();
    view.commit([{ kind: 'create', table: 'node', object: nodeOf('other', 2) }]);
    const own = nodeOf('n1', 1);
    for (let count = 0; count < 3; count++)
      descriptions.taken(own, NodeDescription.create({ hostname: 'other' }), view);
    assert.deepEqual(remarks, ['it has taken the name of node other']);
    const odd = NodeDescription.create({ hostname: 'n 1' });
    for (let count = 0; count < 3; count++) assert.equal(descriptions.taken(own, odd, view)?.hostname, 'n1');
    assert.deepEqual(remarks.slice(1), ['its host name is none: it keeps the one that it has']);
    const plain = NodeDescription.create({ hostname: 'n1' });
    assert.equal(descriptions.taken(own, plain, view), plain);
    assert.equal(remarks.length, 2);
  });
});
