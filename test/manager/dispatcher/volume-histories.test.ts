/**
 * Goal: whatever is made, used, removed and cut off, in whatever order messages arrive: what managers list is what the
 * node has, and every removal ends. Method: both halves as they are, a dispatcher on a plain store and a node's volumes
 * in a real directory, with a wire between them that the history moves on, message by message and step by step.
 */
import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import fc from 'fast-check';
import { NodeVolumes, type TaskVolumes } from '#agent/volumes/index.ts';
import { ManualClock } from '#common/clock.ts';
import { silentLogger } from '#common/log.ts';
import { SeededRandom } from '#common/random.ts';
import { systemClock } from '#common/system/clock.ts';
import { AgentHello, SessionRequest, type SessionResponse, type VolumeReport } from '#gen/swarm/v1/dispatcher.ts';
import { Cluster, Node, NodeDescription, type Volume, VolumeSpec, VolumeState } from '#gen/swarm/v1/objects.ts';
import { DISPATCHER_DEFAULTS, Dispatcher, type DispatcherSession } from '#manager/dispatcher/index.ts';
import { removalBegun, requestedVolume } from '#manager/volumes/index.ts';
import { openTestVolumes } from '#test/agent/volumes/open-test-volumes.ts';
import { MemoryView } from '#test/fixtures/memory-view.ts';

const LEVEL = DISPATCHER_DEFAULTS.volumesFeatureLevel;
const NAMES = ['a', 'b', 'c'] as const;
type Name = (typeof NAMES)[number];
const READY = VolumeState.READY;
/** A history takes a few milliseconds; a message that was lost never comes. */
const PATIENCE_MS = 10_000;

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

type Step =
  | { readonly kind: 'use' | 'free' | 'make' | 'remove'; readonly name: Name }
  /** Messages of one direction arrive, so many steps of the event loop apart. */
  | { readonly kind: 'up' | 'down'; readonly count: number; readonly apart: number }
  | { readonly kind: 'reconnect' | 'flush' | 'turn' };

const name = fc.constantFrom(...NAMES);
const STEP: fc.Arbitrary<Step> = fc.oneof(
  fc.record({ kind: fc.constantFrom('use', 'free', 'make', 'remove', 'remove'), name }),
  fc.record({ kind: fc.constantFrom('up', 'down'), count: fc.integer({ min: 1, max: 4 }), apart: fc.nat(6) }),
  fc.record({ kind: fc.constantFrom('reconnect', 'flush', 'turn', 'turn') }),
);

/** Microtasks: what happens between two messages that one packet brought. */
async function pause(steps: number): Promise<void> {
  for (let step = 0; step < steps; step++) await Promise.resolve();
}

class World {
  readonly view = new MemoryView();
  readonly clock = new ManualClock();
  readonly dispatcher: Dispatcher;
  readonly volumes: TaskVolumes;
  readonly node: NodeVolumes;
  #session: DispatcherSession | undefined;
  #endReports: (() => void) | undefined;
  /** On the wire of the present session. */
  #up: VolumeReport[] = [];
  #down: SessionResponse[] = [];
  /** Of tasks, under way. */
  readonly #work: Promise<void>[] = [];
  readonly #ids = new SeededRandom(2);

  constructor(directory: string, commitTurns: number) {
    this.view.commit([
      { kind: 'create', table: 'cluster', object: Cluster.create({ id: 'c', featureLevel: LEVEL }) },
      { kind: 'create', table: 'node', object: Node.create({ id: 'n' }) },
    ]);
    this.dispatcher = new Dispatcher({
      store: {
        view: () => this.view,
        decide: async (decide) => {
          for (let one = 0; one < commitTurns; one++) await turn();
          this.view.commit(decide(this.view));
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
    ({ volumes: this.volumes } = openTestVolumes(directory));
    this.node = new NodeVolumes(this.volumes, silentLogger);
  }

  /** What was on the wire of the session before is lost. */
  async connect(): Promise<void> {
    this.#endReports?.();
    if (this.#session !== undefined) this.dispatcher.closed(this.#session);
    const up: VolumeReport[] = [];
    const down: SessionResponse[] = [];
    this.#up = up;
    this.#down = down;
    const hello = AgentHello.create({ description: NodeDescription.create({ featureLevel: LEVEL }) });
    this.#session = this.dispatcher.open('n', hello, '', { send: (one) => down.push(one), end: () => {} });
    this.#say({ message: { kind: 'heartbeat', value: {} } });
    await turn();
    this.#endReports = this.node.begin((report) => up.push(report));
  }

  #say(request: Partial<SessionRequest>): void {
    assert.ok(this.#session);
    this.dispatcher.receive(this.#session, SessionRequest.create(request));
  }

  async deliver(kind: 'up' | 'down', count: number, apart: number): Promise<void> {
    for (let one = 0; one < count; one++) {
      await pause(apart);
      if (kind === 'up') {
        const report = this.#up.shift();
        if (report !== undefined) this.#say({ message: { kind: 'volumes', value: report } });
      } else {
        const message = this.#down.shift()?.message;
        if (message?.kind === 'assignments') this.node.apply(message.value.changes);
      }
    }
  }

  /** Time passes, in which the node shows that it is alive. */
  flush(): void {
    this.#say({ message: { kind: 'heartbeat', value: {} } });
    this.clock.advance(DISPATCHER_DEFAULTS.assignmentDelayMs);
  }

  known(wanted: Name): Volume | undefined {
    return this.view.find('volume', 'nameOnNode', `n/${wanted}`);
  }

  make(wanted: Name): void {
    if (this.known(wanted) !== undefined) return;
    const object = requestedVolume(VolumeSpec.create({ name: wanted }), 'n', this.#ids);
    this.view.commit([{ kind: 'create', table: 'volume', object }]);
  }

  remove(wanted: Name): void {
    const volume = this.known(wanted);
    if (volume === undefined || volume.pendingDelete) return;
    this.view.commit([{ kind: 'update', table: 'volume', object: removalBegun(volume) }]);
  }

  async use(wanted: Name): Promise<void> {
    const mount = { kind: 'volume', name: wanted, target: '/d', readOnly: false, noCopy: true } as const;
    const rest = { labels: {}, driver: '', driverOptions: {}, subpath: '' };
    await this.volumes.prepare(`task-${wanted}`, [{ ...mount, ...rest }], '/');
  }

  async step(one: Step): Promise<void> {
    switch (one.kind) {
      case 'use':
        this.#work.push(this.use(one.name));
        return;
      case 'free':
        this.#work.push(this.volumes.release(`task-${one.name}`));
        return;
      case 'make':
        return this.make(one.name);
      case 'remove':
        return this.remove(one.name);
      case 'up':
      case 'down':
        return this.deliver(one.kind, one.count, one.apart);
      case 'reconnect':
        return this.connect();
      case 'flush':
        return this.flush();
      case 'turn':
        return turn();
    }
  }

  /** All that is under way arrives, spaced as told; nobody connects anew. Then it has to be as `isOver` says, and stay. */
  async calm(apart: number, isOver: () => Promise<boolean>): Promise<void> {
    await Promise.all(this.#work.splice(0));
    const patienceMs = systemClock.monotonic() + PATIENCE_MS;
    for (let quiet = 0; quiet < 5 && systemClock.monotonic() < patienceMs; ) {
      this.flush();
      await this.deliver('down', this.#down.length, apart);
      await this.deliver('up', this.#up.length, apart);
      await this.node.settled();
      await turn();
      quiet = this.#up.length + this.#down.length === 0 && (await isOver()) ? quiet + 1 : 0;
    }
  }

  /** What is listed is there, and nothing is asked of the node any more. */
  async agree(apart: number): Promise<void> {
    await this.calm(apart, async () => isDeepStrictEqual(this.listed(), await this.there()));
    assert.deepEqual(this.listed(), await this.there());
  }

  async removeAll(apart: number): Promise<void> {
    for (const one of NAMES) await this.volumes.release(`task-${one}`);
    for (const one of NAMES) this.remove(one);
    await this.calm(apart, async () => this.listed().length + (await this.there()).length === 0);
    assert.deepEqual([this.listed(), await this.there()], [[], []]);
  }

  listed(): readonly string[] {
    return [...this.view.all('volume')].map(({ spec, state }) => `${spec?.name} ${state}`).toSorted();
  }

  async there(): Promise<readonly string[]> {
    return (await this.volumes.list()).map((record) => `${record.name} ${READY}`).toSorted();
  }
}

describe('manager/dispatcher: histories of a node’s volumes', function () {
  this.timeout(120_000);
  let directory: string;
  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'starling-histories-'));
  });
  afterEach(() => rm(directory, { recursive: true, force: true }));

  let worlds = 0;
  const fresh = (commitTurns: number): World => new World(join(directory, String(worlds++)), commitTurns);

  it('lists in the end what the node has, and no removal stays open', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(STEP, { maxLength: 40 }), fc.nat(6), fc.nat(2), async (steps, apart, commitTurns) => {
        const world = fresh(commitTurns);
        await world.connect();
        for (const one of steps) await world.step(one);
        await world.agree(apart);
        await world.removeAll(apart);
      }),
      { numRuns: 60, endOnFailure: true },
    );
  });
});
