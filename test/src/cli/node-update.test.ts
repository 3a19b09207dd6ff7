/**
 * Goal: `node update` writes all that it is told or nothing, also where others write in between; `--wait` is over when
 * the node is empty, and says what it waits for until then. Method: a daemon that answers by script, a clock that moves
 * as often as somebody waits for it.
 */
import assert from 'node:assert/strict';
import { ManualClock } from '#common/clock.ts';
import { SwarmError } from '#common/errors.ts';
import {
  GetNodeResponse,
  ListNodesResponse,
  ListTasksResponse,
  TaskView,
  UpdateNodeRequest,
  UpdateNodeResponse,
} from '#gen/swarm/v1/control.ts';
import { DrainStatus, Node, NodeDescription, Task, TaskState, TaskStatus } from '#gen/swarm/v1/objects.ts';
import { DrainSpec, NodeAvailability, NodeRole, NodeSpec } from '#gen/swarm/v1/specs.ts';
import { type CliResult, fakeApi, NOW_MS, runCli } from './support/run-cli.ts';
import { swarmFixture } from './swarm-fixture.ts';

const { DRAIN, ACTIVE } = NodeAvailability;

function stale(): SwarmError {
  return new SwarmError({ code: 'conflict', reason: 'out-of-sequence', message: 'update out of sequence' });
}

interface Script {
  readonly spec?: Partial<NodeSpec>;
  /** At the n-th look after the write; the last one stays. */
  readonly looks?: readonly (Partial<Node> | SwarmError)[];
  /** Others' labels, one write before each of ours. */
  readonly others?: readonly string[];
}

class Daemon {
  readonly asked: UpdateNodeRequest[] = [];
  readonly clock = new ManualClock(NOW_MS);
  /** Ctrl-C as soon as the command waits. */
  interrupts = false;
  #interrupt: () => void = () => {};
  #node: Node;
  #looks = 0;
  readonly #script: Script;
  readonly #others: string[];

  constructor(script: Script = {}) {
    this.#script = script;
    this.#others = [...(script.others ?? [])];
    const spec = NodeSpec.create({ labels: { zone: 'a' }, availability: ACTIVE, ...script.spec });
    const description = NodeDescription.create({ hostname: 'n1' });
    this.#node = Node.create({ id: 'n1'.padEnd(25, '0'), version: 1, role: NodeRole.WORKER, spec, description });
  }

  get spec(): NodeSpec {
    return this.#node.spec ?? NodeSpec.create();
  }

  async run(...words: string[]): Promise<CliResult> {
    const control = {
      ...fakeApi(swarmFixture(NOW_MS)).control,
      getNode: async () => this.#get(),
      updateNode: async (request: Partial<UpdateNodeRequest>) => this.#update(UpdateNodeRequest.create(request)),
      async *listTasks() {
        const status = TaskStatus.create({ state: TaskState.RUNNING });
        const tasks = [1, 2].map((slot) =>
          TaskView.create({ task: Task.create({ slot, status }), serviceName: 'web' }),
        );
        yield ListTasksResponse.create({ tasks });
        await Promise.resolve();
      },
    };
    const result = runCli(['node', 'update', ...words], {
      api: { control },
      clock: this.clock,
      onInterrupt: (callback) => {
        this.#interrupt = callback;
        return () => {};
      },
    });
    let isOver = false;
    void result.finally(() => {
      isOver = true;
    });
    for (let turn = 0; turn < 20_000 && !isOver; turn++) {
      await new Promise((resolve) => setImmediate(resolve));
      if (this.asked.length === 0) continue;
      if (this.interrupts && this.clock.nextDue() !== undefined) this.#interrupt();
      else this.clock.advance(250);
    }
    return result;
  }

  async #get(): Promise<GetNodeResponse> {
    await Promise.resolve();
    const { looks = [] } = this.#script;
    if (this.asked.length === 0 || looks.length === 0) return GetNodeResponse.create({ node: this.#node });
    const look = looks[Math.min(this.#looks++, looks.length - 1)] ?? {};
    if (look instanceof SwarmError) throw look;
    return GetNodeResponse.create({ node: { ...this.#node, ...look } });
  }

  async #update(request: UpdateNodeRequest): Promise<UpdateNodeResponse> {
    await Promise.resolve();
    const other = this.#others.shift();
    if (other !== undefined) {
      const spec = { ...this.spec, labels: { ...this.spec.labels, [other]: '' } };
      this.#node = { ...this.#node, version: this.#node.version + 1, spec };
    }
    if (request.version !== this.#node.version) throw stale();
    this.#node = { ...this.#node, version: this.#node.version + 1, spec: request.spec };
    this.asked.push(request);
    return UpdateNodeResponse.create({});
  }
}

function left(count: number, message = ''): Partial<Node> {
  const completedAtMs = count === 0 ? NOW_MS : 0;
  return { drain: DrainStatus.create({ startedAtMs: NOW_MS, completedAtMs, total: 3, left: count, message }) };
}

describe('cli: node update', () => {
  it('several things at once are one write', async () => {
    const daemon = new Daemon();
    const words = [
      '--label-add',
      'disk=ssd',
      '--label-rm',
      'zone',
      '--role',
      'manager',
      '--availability',
      'pause',
      'n1',
    ];
    assert.deepEqual(await daemon.run(...words), { exitCode: 0, stdout: 'n1\n', stderr: '' });
    assert.deepEqual(
      daemon.asked.map(({ spec }) => spec),
      [
        NodeSpec.create({
          labels: { disk: 'ssd' },
          desiredRole: NodeRole.MANAGER,
          availability: NodeAvailability.PAUSE,
        }),
      ],
    );
  });

  it('what others write in between stays; who is never let through says so', async () => {
    const daemon = new Daemon({ others: ['theirs', 'more'] });
    assert.equal((await daemon.run('--label-add', 'ours=1', 'n1')).exitCode, 0);
    assert.deepEqual(daemon.spec.labels, { zone: 'a', theirs: '', more: '', ours: '1' });
    const busy = new Daemon({ others: Array.from({ length: 50 }, (_, index) => `l${index}`) });
    const { exitCode: code, stderr } = await busy.run('--label-add', 'ours=1', 'n1');
    assert.equal(code, 1);
    assert.match(stderr, /out of sequence/u);
    assert.equal(busy.asked.length, 0);
  });

  it('refuses rubbish before anything is written', async () => {
    const cases: readonly (readonly [readonly string[], RegExp])[] = [
      [['--availability', 'off'], /invalid availability "off"/u],
      [['--role', 'boss'], /invalid role "boss"/u],
      [['--label-rm', 'nothing'], /key nothing doesn't exist in node's labels/u],
      [['--availability', 'drain', '--label-rm', 'nothing'], /key nothing doesn't exist/u],
      [['--availability', 'drain', '--parallel', '-1'], /parsing "-1": invalid syntax/u],
      [['--availability', 'drain', '--parallel', '4294967296'], /value out of range/u],
      [['--availability', 'drain', '--wait', '--timeout', '0s'], /duration 0s is not positive/u],
      [['--availability', 'drain', '--wait', '--timeout', 'soon'], /soon/u],
      [['--availability', 'drain', '--timeout', '5s'], /--timeout needs --wait/u],
      [['--parallel', '2'], /--parallel is for nodes that are drained/u],
      [['--availability', 'pause', '--wait'], /--wait is for nodes that are drained/u],
    ];
    for (const [words, complaint] of cases) {
      const daemon = new Daemon();
      const { exitCode: code, stdout, stderr } = await daemon.run(...words, 'n1');
      assert.notEqual(code, 0, words.join(' '));
      assert.match(stderr, complaint);
      assert.deepEqual([stdout, daemon.asked.length], ['', 0]);
    }
  });

  it('says what a drain is to be like; one that goes on keeps that, one that ends forgets it', async () => {
    const drained = { availability: DRAIN, drain: DrainSpec.create({ parallelism: 2 }) };
    const cases: readonly (readonly [Partial<NodeSpec>, readonly string[], DrainSpec | undefined])[] = [
      [{}, ['--availability', 'drain'], undefined],
      [{}, ['--availability', 'drain', '--parallel', '0'], DrainSpec.create({ parallelism: 0 })],
      [drained, ['--label-add', 'a=b'], drained.drain],
      [drained, ['--parallel', '7'], DrainSpec.create({ parallelism: 7 })],
      [drained, ['--availability', 'active'], undefined],
    ];
    for (const [spec, words, expected] of cases) {
      const daemon = new Daemon({ spec });
      assert.equal((await daemon.run(...words, 'n1')).exitCode, 0);
      assert.deepEqual(daemon.spec.drain, expected, words.join(' '));
    }
  });

  it('--wait shows how far it is, over a change of leader, and returns when the node is empty', async () => {
    const away = new SwarmError({ code: 'unavailable', reason: 'no-quorum', message: 'no leader' });
    const why = 'web.1: its replacement on n2 comes up';
    const daemon = new Daemon({ looks: [{}, left(3), left(2, why), away, left(0), left(1), left(0)] });
    const { exitCode: code, stdout, stderr } = await daemon.run('--availability', 'drain', '--wait', 'n1');
    assert.deepEqual([code, stdout], [0, 'n1\n']);
    assert.deepEqual(stderr.trim().split('\n'), [
      'n1: the drain begins',
      'n1: 0 of 3 tasks have left',
      `n1: 1 of 3 tasks have left; ${why}`,
      'n1: waiting for the managers to answer: no leader',
      'n1: all 3 tasks have left',
      'n1: 2 of 3 tasks have left',
      'n1: all 3 tasks have left',
    ]);
    assert.deepEqual(daemon.spec.drain, DrainSpec.create({}), 'managers of an earlier release refuse this');
  });

  it('--wait that is interrupted does not look like a node that is empty; the drain goes on', async () => {
    const daemon = new Daemon({ looks: [left(2)] });
    daemon.interrupts = true;
    const { exitCode: code, stdout, stderr } = await daemon.run('--availability', 'drain', '--wait', 'n1');
    assert.deepEqual([code, stdout], [130, '']);
    assert.match(stderr, /Operation continuing in background: node n1 is being drained\.\n$/u);
    assert.equal(daemon.spec.availability, DRAIN);
  });

  it('--timeout gives up, names what is left and what to do; the drain goes on', async () => {
    const daemon = new Daemon({ looks: [left(2, 'web.1: no suitable node (1 node not available for new tasks)')] });
    const {
      exitCode: code,
      stdout,
      stderr,
    } = await daemon.run('--availability', 'drain', '--wait', '--timeout', '3s', 'n1');
    assert.deepEqual([code, stdout], [1, '']);
    assert.match(stderr, /node n1 is not empty after 3 seconds: 1 of 3 tasks have left; web\.1: no suitable node/u);
    assert.match(stderr, /still there: web\.1, web\.2/u);
    assert.match(stderr, /--parallel 0 n1/u);
    assert.equal(daemon.spec.availability, DRAIN);
  });

  it('--wait ends with an error when the drain is called off, or the node is removed', async () => {
    const off = new Daemon({ looks: [left(2), { spec: NodeSpec.create({ availability: ACTIVE }) }] });
    const called = await off.run('--availability', 'drain', '--wait', 'n1');
    assert.equal(called.exitCode, 1);
    assert.match(called.stderr, /not drained any more/u);
    const gone = new SwarmError({ code: 'not-found', reason: 'unknown-object', message: 'no node' });
    const removed = await new Daemon({ looks: [left(2), gone] }).run('--availability', 'drain', '--wait', 'n1');
    assert.equal(removed.exitCode, 1);
    assert.match(removed.stderr, /node n1 was removed while it was drained/u);
  });
});

describe('cli: drained nodes', () => {
  const description = NodeDescription.create({ hostname: 'n1' });
  const drained = (count: number, message: string): Node => {
    const spec = NodeSpec.create({ availability: DRAIN });
    return Node.create({ id: 'n1', spec, description, createdAtMs: NOW_MS, ...left(count, message) });
  };
  const show = async (node: Node, ...words: string[]): Promise<string> => {
    const control = {
      ...fakeApi(swarmFixture(NOW_MS)).control,
      getNode: async () => Promise.resolve(GetNodeResponse.create({ node })),
      getCluster: async () => Promise.resolve({ cluster: undefined }),
      async *listNodes() {
        yield ListNodesResponse.create({ nodes: [node] });
        await Promise.resolve();
      },
    };
    const { stdout, stderr, exitCode } = await runCli(['node', ...words], { api: { control } });
    assert.equal(exitCode, 0, stderr);
    return stdout;
  };

  it('are listed with what is left on them, in tables alone', async () => {
    assert.match(await show(drained(2, ''), 'ls'), /AVAILABILITY +MANAGER STATUS.*\n.* Drain \(2 left\) /u);
    assert.match(await show(drained(0, ''), 'ls'), / Drain {2,}/u);
    assert.equal(await show(drained(2, ''), 'ls', '--format', '{{.Availability}}'), 'Drain\n');
    assert.doesNotMatch(await show(drained(2, ''), 'ls', '--format', 'json'), /left/iu);
    assert.match(await show(drained(2, ''), 'ls', '--filter', 'availability=drain', '-q'), /^n1$/mu);
    assert.equal(await show(drained(2, ''), 'ls', '--filter', 'availability=active', '-q'), '');
  });

  it('are shown with how far it is and what is waited for', async () => {
    const pretty = await show(drained(2, 'web.1: no suitable node'), 'inspect', '--pretty', 'n1');
    assert.match(pretty, /\n Drain:\t\t\t2 of 3 tasks left, since 20.*\n Waits for:\t\tweb\.1: no suitable node\n/u);
    assert.match(await show(drained(0, ''), 'inspect', '--pretty', 'n1'), /\n Drain:\t\t\tcomplete since 20.*\n/u);
    assert.equal(
      await show(drained(2, 'why'), 'inspect', '--format', '{{.Drain.Left}} {{.Drain.Message}}', 'n1'),
      '2 why\n',
    );
  });

  it('filters that name nothing are refused', async () => {
    for (const filter of ['availability=off', 'membership=maybe', 'role=boss']) {
      const { exitCode, stderr } = await runCli(['node', 'ls', '--filter', filter], {
        api: fakeApi(swarmFixture(NOW_MS)),
      });
      assert.equal(exitCode, 1);
      assert.match(stderr, /invalid \w+ filter/u);
    }
  });
});
