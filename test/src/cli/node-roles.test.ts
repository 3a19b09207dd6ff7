/**
 * Goal: promote and demote say what Docker says, and are over when the node is what it was told. Method: a daemon that
 * answers by script, a clock that moves as often as somebody waits for it.
 */
import assert from 'node:assert/strict';
import { ManualClock } from '#common/clock.ts';
import { SwarmError } from '#common/errors.ts';
import { GetNodeResponse, ListNodesResponse, UpdateNodeRequest, UpdateNodeResponse } from '#gen/swarm/v1/control.ts';
import { ManagerStatus, Node, NodeDescription, NodeState, NodeStatus } from '#gen/swarm/v1/objects.ts';
import { NodeRole, NodeSpec } from '#gen/swarm/v1/specs.ts';
import { type CliResult, fakeApi, NOW_MS, runCli } from './support/run-cli.ts';
import { swarmFixture } from './swarm-fixture.ts';

const { MANAGER, WORKER } = NodeRole;
const ADDRESS = '10.0.0.2:2377';
const MEMBER = ManagerStatus.create({ reachable: true, address: ADDRESS });

function node(name: string, role: NodeRole, managerStatus?: ManagerStatus, state: NodeState = NodeState.READY): Node {
  return Node.create({
    id: name.padEnd(25, '0'),
    version: 7,
    role,
    spec: NodeSpec.create({ desiredRole: role }),
    status: NodeStatus.create({ state }),
    description: NodeDescription.create({ hostname: name }),
    managerStatus,
  });
}

interface Scripted {
  readonly asked: UpdateNodeRequest[];
  /** Ctrl-C at the n-th pause of the next run, from 1. */
  interruptAt(pause: number): void;
  run(...words: string[]): Promise<CliResult>;
}

/** What a node looks like at its n-th look after it was told its new role; the last one stays. */
type Script = readonly (Partial<Node> | SwarmError)[];

/** Nodes by name; the script goes on for the node that was told last. */
function daemon(
  nodes: readonly Node[],
  script: Script,
  refuse: (name: string) => SwarmError | undefined = () => undefined,
): Scripted {
  const asked: UpdateNodeRequest[] = [];
  const told = new Map<string, { role: NodeRole; looks: number }>();
  const clock = new ManualClock(NOW_MS);
  const find = (reference: string): Node => {
    const found = nodes.find(({ id, description }) => id === reference || description?.hostname === reference);
    if (found !== undefined) return found;
    throw new SwarmError({ code: 'not-found', reason: 'unknown-object', message: `node ${reference} not found` });
  };
  const control = {
    ...fakeApi(swarmFixture(NOW_MS)).control,
    getNode: async ({ reference = '' }) => {
      await Promise.resolve();
      const found = find(reference);
      const state = told.get(found.id);
      if (state === undefined) return GetNodeResponse.create({ node: found });
      const step = script[Math.min(state.looks++, script.length - 1)] ?? {};
      if (step instanceof SwarmError) throw step;
      const spec = NodeSpec.create({ desiredRole: state.role });
      return GetNodeResponse.create({ node: { ...found, spec, ...step } });
    },
    updateNode: async (request: Partial<UpdateNodeRequest>) => {
      await Promise.resolve();
      const refusal = refuse(find(request.id ?? '').description?.hostname ?? '');
      if (refusal !== undefined) throw refusal;
      asked.push(UpdateNodeRequest.create(request));
      told.set(request.id ?? '', { role: request.spec?.desiredRole ?? 0, looks: 0 });
      return UpdateNodeResponse.create({});
    },
    async *listNodes() {
      yield ListNodesResponse.create({ nodes });
      await Promise.resolve();
    },
  };
  let interruptAt = 0;
  return {
    asked,
    interruptAt(pause) {
      interruptAt = pause;
    },
    async run(...words) {
      let interrupt = (): void => {};
      const onInterrupt = (callback: () => void): (() => void) => {
        interrupt = callback;
        return () => {};
      };
      let pauses = 0;
      const result = runCli(words, { api: { control }, clock, onInterrupt });
      let isOver = false;
      void result.finally(() => {
        isOver = true;
      });
      while (!isOver) {
        await new Promise((resolve) => setImmediate(resolve));
        if (clock.nextDue() === undefined) continue;
        if (++pauses === interruptAt) interrupt();
        else clock.advance(200);
      }
      return result;
    },
  };
}

const WORKER_NODE = node('beta', WORKER);
const MANAGER_NODE = node('beta', MANAGER, MEMBER);

describe('cli: node promote', () => {
  it('waits until the node has its vote, and tells what it waits for apart from what Docker prints', async () => {
    const { asked, run } = daemon(
      [WORKER_NODE],
      [
        {},
        { role: MANAGER },
        new SwarmError({ code: 'unavailable', reason: 'no-quorum', message: 'an election is under way' }),
        { role: MANAGER, managerStatus: { ...MEMBER, learner: true } },
        { role: MANAGER, managerStatus: MEMBER },
      ],
    );
    const { stdout, stderr, exitCode } = await run('node', 'promote', 'beta');
    assert.equal(exitCode, 0, stderr);
    assert.equal(stdout, 'Node beta promoted to a manager in the swarm.\n');
    assert.deepEqual(stderr.split('\n'), [
      'beta: waiting for the node to take a certificate with its new role',
      'beta: waiting for the node to join the log of the managers',
      'beta: waiting for the managers to answer: an election is under way',
      'beta: waiting for the node to catch up with the log of the managers',
      '',
    ]);
    assert.deepEqual(
      asked.map(({ id, version, spec }) => [id, version, spec?.desiredRole]),
      [[WORKER_NODE.id, 7, MANAGER]],
    );
  });

  it('returns at once with --detach', async () => {
    const { stdout, stderr } = await daemon([WORKER_NODE], [{}]).run('node', 'promote', '--detach', 'beta');
    assert.deepEqual([stdout, stderr], ['Node beta promoted to a manager in the swarm.\n', '']);
  });

  it('that is interrupted says so, promises nothing, and tells no other node', async () => {
    const { asked, run, interruptAt } = daemon([WORKER_NODE, node('gamma', WORKER), node('delta', WORKER)], [{}]);
    interruptAt(2);
    const { stdout, stderr, exitCode } = await run('node', 'promote', 'beta', 'gamma', 'delta');
    assert.deepEqual([stdout, exitCode], ['', 130]);
    assert.match(
      stderr,
      /Operation continuing in background: node beta is being promoted\.\nNot promoted: gamma, delta\.\n$/,
    );
    assert.equal(asked.length, 1);
  });

  it('that is interrupted reports what went wrong before, too', async () => {
    const { run, interruptAt } = daemon([WORKER_NODE], [{}]);
    interruptAt(1);
    const { stderr, exitCode } = await run('node', 'promote', 'nope', 'beta');
    assert.equal(exitCode, 130);
    assert.match(stderr, /node beta is being promoted\.\nError response from daemon: node nope not found\n/);
  });

  it('says after a minute what is still missing', async () => {
    const { stdout, stderr, exitCode } = await daemon(
      [WORKER_NODE],
      [{ status: NodeStatus.create({ state: NodeState.DOWN }) }],
    ).run('node', 'promote', 'beta');
    assert.equal(exitCode, 1);
    assert.equal(stdout, '');
    assert.match(stderr, /node beta is no manager after 60 seconds: waiting for the node, which is down\nHint: /);
  });

  it('names a node that is down, and does not wait for it', async () => {
    const nodes = [node('beta', WORKER, undefined, NodeState.DOWN), node('gamma', WORKER)];
    const { asked, run } = daemon(nodes, [{ role: MANAGER, managerStatus: MEMBER }]);
    const { stdout, stderr, exitCode } = await run('node', 'promote', 'beta', 'gamma');
    assert.equal(exitCode, 0, stderr);
    assert.equal(
      stdout,
      'Node beta promoted to a manager in the swarm.\nNode gamma promoted to a manager in the swarm.\n',
    );
    assert.equal(
      stderr,
      'warning: node beta is down: the promotion is recorded, and takes effect when the node is back\n',
    );
    assert.deepEqual(
      asked.map(({ id }) => id),
      nodes.map(({ id }) => id),
    );
  });

  it('says of a node that is down when it is told to detach, too, and nothing when the promotion is refused', async () => {
    const nodes = [node('beta', WORKER, undefined, NodeState.DOWN)];
    const detached = await daemon(nodes, [{}]).run('node', 'promote', '--detach', 'beta');
    assert.match(detached.stderr, /^warning: node beta is down/);
    const refusal = new SwarmError({ code: 'precondition', reason: 'feature-level', message: 'too old' });
    const refused = await daemon(nodes, [{}], () => refusal).run('node', 'promote', 'beta');
    assert.deepEqual([refused.exitCode, refused.stdout], [1, '']);
    assert.doesNotMatch(refused.stderr, /is down/);
  });

  it('goes on after a node that cannot, and fails in the end', async () => {
    const nodes = [node('alpha', MANAGER, MEMBER), WORKER_NODE, node('gamma', WORKER)];
    const refusal = new SwarmError({
      code: 'precondition',
      reason: 'feature-level',
      message: 'too old',
      hint: 'upgrade',
    });
    const { run } = daemon(nodes, [{ role: MANAGER, managerStatus: MEMBER }], (name) =>
      name === 'beta' ? refusal : undefined,
    );
    const { stdout, stderr, exitCode } = await run('node', 'promote', 'alpha', 'beta', 'nope', 'gamma');
    assert.equal(
      stdout,
      `Node ${nodes[0]?.id} is already a manager.\nNode gamma promoted to a manager in the swarm.\n`,
    );
    assert.equal(exitCode, 1);
    assert.match(stderr, /Error response from daemon: too old\nError response from daemon: node nope not found\n/);
  });

  it('reads again when the node changed in between', async () => {
    let refusals = 2;
    const stale = new SwarmError({ code: 'conflict', reason: 'out-of-sequence', message: 'update out of sequence' });
    const { run } = daemon([WORKER_NODE], [{ role: MANAGER, managerStatus: MEMBER }], () =>
      refusals-- > 0 ? stale : undefined,
    );
    assert.equal((await run('node', 'promote', 'beta')).exitCode, 0);
  });

  it('fails when somebody decides otherwise meanwhile', async () => {
    const spec = NodeSpec.create({ desiredRole: WORKER });
    const { stderr, exitCode } = await daemon([WORKER_NODE], [{}, { spec }]).run('node', 'promote', 'beta');
    assert.equal(exitCode, 1);
    assert.match(stderr, /was told otherwise meanwhile\nHint: /);
  });

  it('shows that without a quorum nothing can be done, and what can', async () => {
    const error = new SwarmError({
      code: 'unavailable',
      reason: 'no-quorum',
      message: 'the swarm has no leader: 2 of 3 managers are missing',
      hint: 'start them, or: swarm init --force-new-cluster',
    });
    const { stderr, exitCode } = await daemon([WORKER_NODE], [{}], () => error).run('node', 'promote', 'beta');
    assert.equal(exitCode, 1);
    assert.equal(
      stderr,
      'Error response from daemon: the swarm has no leader: 2 of 3 managers are missing\nHint: start them, or: swarm init --force-new-cluster\n',
    );
  });
});

describe('cli: node demote', () => {
  it('waits until the node is out of the log', async () => {
    const { run } = daemon(
      [MANAGER_NODE],
      [
        { managerStatus: { ...MEMBER, leader: true } },
        {},
        { managerStatus: undefined },
        { managerStatus: undefined, role: WORKER },
      ],
    );
    const { stdout, stderr, exitCode } = await run('node', 'demote', 'beta');
    assert.equal(exitCode, 0, stderr);
    assert.equal(stdout, 'Manager beta demoted in the swarm.\n');
    assert.deepEqual(stderr.split('\n'), [
      'beta: waiting for the node to hand over the lead',
      'beta: waiting for the node to leave the log of the managers',
      'beta: waiting for the role of the node to change',
      '',
    ]);
  });

  it('is over when the node that is asked is no manager any more', async () => {
    const gone = new SwarmError({ code: 'unavailable', reason: 'not-a-manager', message: 'not a manager' });
    const { stdout, exitCode } = await daemon([MANAGER_NODE], [{}, gone]).run('node', 'demote', 'beta');
    assert.deepEqual([stdout, exitCode], ['Manager beta demoted in the swarm.\n', 0]);
  });

  it('that is interrupted gives up no second manager', async () => {
    const { asked, run, interruptAt } = daemon([MANAGER_NODE, node('gamma', MANAGER, MEMBER)], [{}]);
    interruptAt(1);
    const { stdout, stderr, exitCode } = await run('node', 'demote', 'beta', 'gamma');
    assert.deepEqual([stdout, exitCode, asked.length], ['', 130, 1]);
    assert.match(stderr, /node beta is being demoted\.\nNot demoted: gamma\.\n$/);
  });

  it('says so when there is nothing to do', async () => {
    const { stdout, exitCode } = await daemon([WORKER_NODE], [{}]).run('node', 'demote', 'beta');
    assert.deepEqual([stdout, exitCode], [`Node ${WORKER_NODE.id} is already a worker.\n`, 0]);
  });

  it('demotes the node that answers last, so that it can demote the others', async () => {
    const nodes = [node('alpha', MANAGER, MEMBER), MANAGER_NODE, node('self', MANAGER, MEMBER)];
    const { asked, run } = daemon(nodes, [{ role: WORKER }]);
    const { stderr, exitCode } = await run('node', 'demote', '--detach', nodes[2]?.id ?? '', 'alpha', 'beta');
    assert.equal(exitCode, 0, stderr);
    assert.deepEqual(
      asked.map(({ id }) => id.replace(/0+$/, '')),
      ['alpha', 'beta', 'self'],
    );
  });
});

describe('cli: managers in lists', () => {
  const nodes = [
    node('a', MANAGER, { ...MEMBER, leader: true }),
    node('b', MANAGER, MEMBER),
    node('c', MANAGER, { ...MEMBER, reachable: false }, NodeState.DOWN),
    node('d', MANAGER, { ...MEMBER, learner: true }),
    node('e', WORKER),
  ];

  it('are what Docker calls them', async () => {
    const { stdout } = await daemon(nodes, []).run('node', 'ls', '--format', '{{.Hostname}}={{.ManagerStatus}}');
    assert.equal(stdout, 'a=Leader\nb=Reachable\nc=Unreachable\nd=Learner\ne=\n');
  });

  it('are shown with their address and what the log knows', async () => {
    const show = async (name: string): Promise<string> =>
      (await daemon(nodes, []).run('node', 'inspect', '--pretty', name)).stdout;
    assert.match(
      await show('a'),
      /\nManager Status:\n Address:\t\t10\.0\.0\.2:2377\n Raft Status:\t\tReachable\n Leader:\t\tYes\n/,
    );
    assert.match(await show('c'), /\n Raft Status:\t\tUnreachable\n Leader:\t\tNo\n/);
    assert.match(await show('d'), /\n Raft Status:\t\tLearner\n/);
    assert.doesNotMatch(await show('e'), /Manager Status/);
  });
});
