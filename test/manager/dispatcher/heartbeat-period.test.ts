/**
 * Goal: a change of the heartbeat period, either way, takes no healthy node for dead, whoever leads meanwhile, and whatever
 * release the agents have; and a dead one is found. Method: the real dispatcher and the agents' real heartbeats under one
 * manual clock.
 */
import assert from 'node:assert/strict';
import { Heartbeat } from '#agent/session/heartbeat.ts';
import { SeededRandom } from '#common/random.ts';
import { SessionRequest } from '#gen/swarm/v1/dispatcher.ts';
import { Node, NodeState, NodeStatus } from '#gen/swarm/v1/objects.ts';
import { ClusterSpec, DispatcherConfig } from '#gen/swarm/v1/specs.ts';
import { DISPATCHER_DEFAULTS, type DispatcherSession } from '#manager/dispatcher/index.ts';
import { RecordedSwarm } from './recorded-swarm.ts';

const LONG_MS = 30_000;
const SHORT_MS = 1000;
const STEP_MS = 100;

/** What beats, and hears the answers. */
interface Beating {
  answered(periodMs: number): void;
  stop(): void;
}

/** Agents of earlier releases have their next heartbeat come as it was set, whatever the answer to the last one says. */
class FormerHeartbeat implements Beating {
  readonly #swarm: RecordedSwarm;
  readonly #send: () => void;
  #periodMs: number;
  #cancel = (): void => {};

  constructor(swarm: RecordedSwarm, send: () => void, periodMs: number) {
    this.#swarm = swarm;
    this.#send = send;
    this.#periodMs = periodMs;
    this.#beat();
  }

  answered(periodMs: number): void {
    this.#periodMs = periodMs;
  }

  stop(): void {
    this.#cancel();
  }

  #beat(): void {
    this.#send();
    this.#cancel = this.#swarm.clock.setTimer(this.#periodMs, () => this.#beat());
  }
}

describe('dispatcher: a heartbeat period that changes', () => {
  let swarm: RecordedSwarm;
  let session: DispatcherSession;
  let beating: Beating;
  let answers: number;

  beforeEach(async () => {
    swarm = new RecordedSwarm();
    await configure(LONG_MS);
    answers = 0;
  });
  afterEach(() => {
    beating.stop();
    swarm.dispatcher.stop('the test is over');
  });

  async function configure(heartbeatPeriodMs: number): Promise<void> {
    const cluster = swarm.view.cluster();
    assert.ok(cluster !== undefined);
    const spec = ClusterSpec.create({ dispatcher: DispatcherConfig.create({ heartbeatPeriodMs }) });
    await swarm.update([{ kind: 'update', table: 'cluster', object: { ...cluster, spec } }]);
  }

  const send = (message: SessionRequest['message']): void =>
    swarm.dispatcher.receive(session, SessionRequest.create({ message }));
  const beat = (): void => send({ kind: 'heartbeat', value: {} });

  async function connect(isFormer: boolean): Promise<void> {
    session = await swarm.greet('n1');
    if (isFormer) {
      beating = new FormerHeartbeat(swarm, beat, LONG_MS);
      return;
    }
    const { clock } = swarm;
    const signs = { nowMs: () => clock.monotonic(), heard: () => {} };
    const heart = new Heartbeat({ send: beat, signs, clock, random: new SeededRandom(1) });
    heart.helloSent();
    heart.begin(LONG_MS);
    beating = heart;
  }

  /** Time passes, in which the agent hears what it is told; says how the node was meanwhile. */
  async function pass(durationMs: number): Promise<Set<NodeState | undefined>> {
    const states = new Set<NodeState | undefined>();
    for (let passedMs = 0; passedMs < durationMs; passedMs += STEP_MS) {
      await swarm.pass(STEP_MS);
      const periods = (swarm.heard.get('n1') ?? []).flatMap(({ message }) =>
        message?.kind === 'heartbeatAck' ? [message.value.periodMs] : [],
      );
      for (const periodMs of periods.slice(answers)) beating.answered(periodMs);
      answers = periods.length;
      states.add(swarm.state('n1'));
    }
    return states;
  }

  for (const isFormer of [false, true]) {
    const who = isFormer ? 'an agent of an earlier release' : 'an agent';

    it(`${who} is not taken for dead because it beats as it was told before`, async () => {
      await connect(isFormer);
      await pass(1000);
      await configure(SHORT_MS);
      const states = await pass(20_000);
      // Anything that it says by the way shows that it lives, and does not bring its next heartbeat closer.
      send({ kind: 'applied', value: { version: 1 } });
      for (const state of await pass(3 * LONG_MS)) states.add(state);
      assert.deepEqual([...states], [NodeState.READY]);
    });

    it(`${who} that falls silent later is found after five of the new periods`, async () => {
      await connect(isFormer);
      await configure(SHORT_MS);
      await pass(3 * LONG_MS);
      beating.stop();
      const graceMs = SHORT_MS * DISPATCHER_DEFAULTS.downAfterPeriods;
      assert.deepEqual([...(await pass(graceMs - 2 * SHORT_MS))], [NodeState.READY]);
      await pass(3 * SHORT_MS);
      assert.equal(swarm.state('n1'), NodeState.DOWN);
    });
  }

  it('a next leader gives nodes the time that they were told of before the change', async () => {
    await connect(false);
    await pass(1000);
    // Its manager is silent: it looks for another one after four of the periods that it knows.
    beating.stop();
    swarm.dispatcher.stop('its host lost its power');
    await configure(SHORT_MS);
    swarm.dispatcher.start(swarm.view);
    assert.deepEqual([...(await pass(4 * LONG_MS))], [NodeState.UNKNOWN]);
    await swarm.open('n1');
    assert.equal(swarm.state('n1'), NodeState.READY);
  }).timeout(20_000);

  it('once all must have been told, a next leader goes by the new period', async () => {
    await connect(false);
    await configure(SHORT_MS);
    await pass(LONG_MS * DISPATCHER_DEFAULTS.downAfterPeriods);
    beating.stop();
    swarm.dispatcher.stop('the lead moves');
    swarm.dispatcher.start(swarm.view);
    await pass(SHORT_MS * (DISPATCHER_DEFAULTS.unknownAfterPeriods + 1));
    assert.equal(swarm.state('n1'), NodeState.DOWN);
  }).timeout(20_000);

  it('of many nodes a next leader gives the first as long as the last', async () => {
    await connect(false);
    beating.stop();
    await configure(SHORT_MS);
    await pass(LONG_MS * DISPATCHER_DEFAULTS.downAfterPeriods);
    swarm.dispatcher.stop('the lead moves');
    const count = 3 * DISPATCHER_DEFAULTS.heartbeatsPerSecondMax;
    const status = NodeStatus.create({ state: NodeState.READY });
    const many = Array.from({ length: count }, (_, number) => Node.create({ id: `many${number}`, status }));
    await swarm.update(many.map((object) => ({ kind: 'create', table: 'node', object })));
    swarm.dispatcher.start(swarm.view);
    const graceMs = 3 * SHORT_MS * DISPATCHER_DEFAULTS.unknownAfterPeriods;
    for (let passedMs = 0; passedMs < graceMs - SHORT_MS; passedMs += SHORT_MS) await swarm.pass(SHORT_MS);
    assert.equal(swarm.state('many0'), NodeState.UNKNOWN);
  }).timeout(20_000);
});
