/**
 * Goal: the store has what nodes say of their volumes, and nodes are told what is wanted of them, once. Method: a real
 * dispatcher on a plain store; sessions are lists of messages.
 */
import assert from 'node:assert/strict';
import fc from 'fast-check';
import { ManualClock } from '#common/clock.ts';
import { silentLogger } from '#common/log.ts';
import { SeededRandom } from '#common/random.ts';
import {
  AgentHello,
  NodeVolume,
  SessionRequest,
  type SessionResponse,
  VolumeReport,
} from '#gen/swarm/v1/dispatcher.ts';
import { Cluster, Node, NodeDescription, VolumeClaim, VolumeSpec, VolumeState } from '#gen/swarm/v1/objects.ts';
import { DISPATCHER_DEFAULTS, Dispatcher, type DispatcherSession } from '#manager/dispatcher/index.ts';
import { removalBegun, requestedVolume } from '#manager/volumes/index.ts';
import { MemoryView } from '#test/fixtures/memory-view.ts';

const LEVEL = DISPATCHER_DEFAULTS.volumesFeatureLevel;
const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

function has(name: string, fields: Partial<NodeVolume> = {}): NodeVolume {
  return NodeVolume.create({ spec: VolumeSpec.create({ name }), mountpoint: `/v/${name}`, scope: 'local', ...fields });
}

class Bench {
  readonly view = new MemoryView();
  readonly clock = new ManualClock();
  readonly told: SessionResponse[] = [];
  readonly dispatcher: Dispatcher;
  session: DispatcherSession | undefined;
  writes = 0;
  /** Writes take a while, in which more is reported. */
  isSlow = false;
  fails = 0;

  constructor(featureLevel: number = LEVEL) {
    this.view.commit([
      { kind: 'create', table: 'cluster', object: Cluster.create({ id: 'c', featureLevel }) },
      { kind: 'create', table: 'node', object: Node.create({ id: 'n' }) },
    ]);
    this.dispatcher = new Dispatcher({
      store: {
        view: () => this.view,
        decide: async (decide) => {
          if (this.fails > 0) {
            this.fails--;
            throw new Error('no quorum');
          }
          if (this.isSlow) await settled();
          const changes = decide(this.view);
          if (this.isSlow) await settled();
          if (changes.some(({ table }) => table === 'volume')) this.writes++;
          this.view.commit(changes);
        },
      },
      managers: () => [],
      clock: this.clock,
      random: new SeededRandom(1),
      logger: silentLogger,
      config: DISPATCHER_DEFAULTS,
    });
    this.dispatcher.start(this.view);
    this.view.onCommit((commit) => this.dispatcher.observe(commit, this.view));
  }

  async open(): Promise<void> {
    const hello = AgentHello.create({ description: NodeDescription.create({ featureLevel: LEVEL }) });
    this.session = this.dispatcher.open('n', hello, '', { send: (one) => this.told.push(one), end: () => {} });
    this.say({ message: { kind: 'heartbeat', value: {} } });
    await settled();
  }

  say(request: Partial<SessionRequest>): void {
    assert.ok(this.session);
    this.dispatcher.receive(this.session, SessionRequest.create(request));
  }

  async report(fields: Partial<VolumeReport>): Promise<void> {
    this.say({ message: { kind: 'volumes', value: VolumeReport.create(fields) } });
    await settled();
    await settled();
  }

  volumes(): readonly string[] {
    return [...this.view.all('volume')].map(({ spec, state }) => `${spec?.name} ${state}`).toSorted();
  }

  /** Names of volumes that the node was told to make or remove since the last call. */
  commands(): readonly string[] {
    this.clock.advance(DISPATCHER_DEFAULTS.assignmentDelayMs);
    const told = this.told
      .splice(0)
      .flatMap(({ message }) => (message?.kind === 'assignments' ? message.value.changes : []));
    return told.flatMap(({ item }) =>
      item?.kind === 'volume' ? [`${item.value.pendingDelete ? 'remove' : 'create'} ${item.value.spec?.name}`] : [],
    );
  }
}

const ready = (name: string): string => `${name} ${VolumeState.READY}`;

describe('manager/dispatcher: volumes', () => {
  it('writes what is new, and nothing that is known', async () => {
    const b = new Bench();
    await b.open();
    await b.report({ complete: true, volumes: [has('a')], more: true });
    await b.report({ complete: true, volumes: [has('b')] });
    assert.deepEqual(b.volumes(), [ready('a'), ready('b')]);
    const { writes } = b;
    await b.open();
    await b.report({ complete: true, volumes: [has('a'), has('b')] });
    assert.equal(b.writes, writes);
    await b.report({ volumes: [has('c')], removed: ['a'] });
    assert.deepEqual(b.volumes(), [ready('b'), ready('c')]);
    await b.report({ complete: true, volumes: [has('c')] });
    assert.deepEqual(b.volumes(), [ready('c')]);
  });

  it('tells the node what is wanted, again in its next session, and hears what came of it', async () => {
    const b = new Bench();
    await b.open();
    b.commands();
    const wanted = requestedVolume(VolumeSpec.create({ name: 'data' }), 'n', new SeededRandom(2));
    b.view.commit([{ kind: 'create', table: 'volume', object: wanted }]);
    assert.deepEqual(b.commands(), ['create data']);
    await b.report({ complete: true });
    assert.deepEqual(b.volumes(), [`data ${VolumeState.CREATING}`], 'it has not come to it yet');
    await b.open();
    assert.deepEqual(b.commands(), ['create data']);
    await b.report({ volumes: [has('data')] });
    assert.deepEqual(b.volumes(), [ready('data')]);
    const claim = VolumeClaim.create({ serviceId: 's', slot: 1 });
    const made = [...b.view.all('volume')][0];
    assert.ok(made);
    b.view.commit([{ kind: 'update', table: 'volume', object: { ...made, claims: [claim] } }]);
    await b.report({ volumes: [has('data', { mountpoint: '/elsewhere' })] });
    const moved = b.view.get('volume', made.id);
    assert.deepEqual([moved?.mountpoint, moved?.claims], ['/elsewhere', [claim]], 'claims are not the node’s to say');
    assert.ok(moved);
    b.view.commit([{ kind: 'update', table: 'volume', object: removalBegun(moved) }]);
    assert.deepEqual(b.commands(), ['remove data']);
    await b.report({ volumes: [has('data', { error: 'used by task t' })] });
    assert.deepEqual(b.volumes(), [ready('data')]);
    assert.equal(b.view.get('volume', made.id)?.message, 'used by task t');
    b.view.commit([{ kind: 'update', table: 'volume', object: removalBegun(b.view.get('volume', made.id) ?? moved) }]);
    await b.report({ removed: ['data'] });
    assert.deepEqual(b.volumes(), []);
  });

  it('keeps what it hears until the swarm can hold volumes, and over writes that fail', async () => {
    const b = new Bench(LEVEL - 1);
    await b.open();
    await b.report({ complete: true, volumes: [has('a')] });
    assert.deepEqual(b.volumes(), []);
    const cluster = b.view.cluster();
    assert.ok(cluster);
    b.fails = 1;
    b.view.commit([{ kind: 'update', table: 'cluster', object: { ...cluster, featureLevel: LEVEL } }]);
    await settled();
    await settled();
    assert.deepEqual(b.volumes(), []);
    b.clock.advance(1_000);
    await settled();
    await settled();
    assert.deepEqual(b.volumes(), [ready('a')]);
  });

  it('writes what comes while it is about to end writing', async () => {
    for (const before of [{ volumes: [has('a')] }, { removed: ['unknown'] }])
      for (let steps = 0; steps < 12; steps++) {
        const b = new Bench();
        await b.open();
        b.say({ message: { kind: 'volumes', value: VolumeReport.create(before) } });
        for (let step = 0; step < steps; step++) await Promise.resolve();
        await b.report({ volumes: [has('b')] });
        assert.ok(b.volumes().includes(ready('b')), `${steps} steps after ${JSON.stringify(before)}`);
      }
  });

  it('a volume that a task made while its removal was answered is listed', async () => {
    const b = new Bench();
    await b.open();
    await b.report({ complete: true, volumes: [has('a')] });
    b.isSlow = true;
    const remove = (): void => {
      const known = b.view.find('volume', 'nameOnNode', 'n/a');
      if (known !== undefined) b.view.commit([{ kind: 'update', table: 'volume', object: removalBegun(known) }]);
    };
    for (const later of [[has('a')], [has('a'), has('a', { error: 'in use', present: true })]]) {
      remove();
      void b.report({ removed: ['a'] });
      for (const one of later) void b.report({ volumes: [one] });
      for (let turn = 0; turn < 50; turn++) await settled();
      assert.deepEqual(b.volumes(), [ready('a')]);
    }
    // Nothing asks for it, and it is there: that it could not be removed is an answer to nobody.
    await b.report({ removed: ['a'] });
    for (let turn = 0; turn < 50; turn++) await settled();
    assert.deepEqual(b.volumes(), []);
    await b.report({ volumes: [has('a', { error: 'in use', present: true })] });
    for (let turn = 0; turn < 50; turn++) await settled();
    assert.deepEqual(b.volumes(), [ready('a')]);
  });

  it('whatever is reported in whatever order, the store has what was said last', async () => {
    const name = fc.constantFrom('a', 'b', 'c', 'd');
    const report = fc.record({
      complete: fc.boolean(),
      names: fc.uniqueArray(name, { maxLength: 4 }),
      gone: fc.uniqueArray(name, { maxLength: 2 }),
      fails: fc.boolean(),
    });
    await fc.assert(
      fc.asyncProperty(fc.array(report, { maxLength: 8 }), fc.boolean(), async (reports, isSlow) => {
        const b = new Bench();
        await b.open();
        b.isSlow = isSlow;
        let expected = new Set<string>();
        for (const { complete, names, gone, fails } of reports) {
          const removed = complete ? [] : gone;
          if (complete) expected = new Set(names);
          else for (const one of names) expected.add(one);
          for (const one of removed) expected.delete(one);
          if (fails) b.fails = 1;
          const said = b.report({ complete, volumes: names.map((one) => has(one)), removed });
          await (isSlow ? settled() : said);
        }
        for (let turn = 0; turn < 50; turn++) await settled();
        b.fails = 0;
        b.clock.advance(1_000);
        for (let turn = 0; turn < 50; turn++) await settled();
        assert.deepEqual(b.volumes(), [...expected].map(ready).toSorted());
      }),
      { numRuns: 60 },
    );
  });
});
