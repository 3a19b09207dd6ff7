/**
 * Goal: what nodes and users call themselves, and what they say, moves no cursor on the screen of an administrator and
 * takes no line or cell of another; scripts get it as it is. Method: a node, a task and a client that are hostile in every
 * text that they have, and each page that shows them.
 */
import assert from 'node:assert/strict';
import { ManualClock } from '#common/clock.ts';
import { SwarmError } from '#common/errors.ts';
import { GetNodeResponse, ListNodesResponse, ListTasksResponse, TaskView } from '#gen/swarm/v1/control.ts';
import { DoctorOutcome, NodeService, RunDoctorResponse } from '#gen/swarm/v1/node.ts';
import {
  DrainStatus,
  EngineDescription,
  Node,
  NodeDataPath,
  NodeDescription,
  NodeStatus,
  Task,
  TaskState,
  TaskStatus,
} from '#gen/swarm/v1/objects.ts';
import { NodeSpec, Platform } from '#gen/swarm/v1/specs.ts';
import { CliError } from '#src/cli/cli-errors.ts';
import { printLine, printWarning } from '#src/cli/context.ts';
import type { CliEnvironment } from '#src/cli/environment.ts';
import { progressLines } from '#src/cli/progress/progress-lines.ts';
import { reportError } from '#src/cli/report-error.ts';
import { type CliResult, fakeApi, NOW_MS, runCli, scriptedClient } from './support/run-cli.ts';
import { swarmFixture } from './swarm-fixture.ts';

/** Clears the screen, forges a line and a cell, sets the title, turns the direction of writing. */
const HOSTILE = 'evil\u001b[2J\u009b1;1H\nroot ok\tReady\r\u0007\u202e';
const SHOWN = 'evil\\u001b[2J\\u009b1;1H\\u000aroot ok\\u0009Ready\\u000d\\u0007\\u202e';
const CONTROLS = /[\0-\x08\x0b-\x1f\x7f-\x9f\u202e]/;

const NODE = Node.create({
  id: 'n1'.padEnd(25, '0'),
  createdAtMs: NOW_MS,
  spec: NodeSpec.create({ name: HOSTILE, labels: { [HOSTILE]: HOSTILE } }),
  status: NodeStatus.create({ message: HOSTILE, address: HOSTILE }),
  drain: DrainStatus.create({ total: 2, left: 1, message: HOSTILE, startedAtMs: NOW_MS }),
  description: NodeDescription.create({
    hostname: HOSTILE,
    platform: Platform.create({ os: HOSTILE, architecture: HOSTILE }),
    engine: EngineDescription.create({ version: HOSTILE, labels: { [HOSTILE]: HOSTILE } }),
    dataPath: NodeDataPath.create({ address: HOSTILE, encryptionProblem: HOSTILE }),
  }),
});

const TASK = TaskView.create({
  task: Task.create({
    id: 't1'.padEnd(25, '0'),
    slot: 1,
    nodeId: NODE.id,
    createdAtMs: NOW_MS,
    status: TaskStatus.create({ state: TaskState.FAILED, error: HOSTILE, lastLog: [HOSTILE], timestampMs: NOW_MS }),
  }),
  serviceName: 'web',
  nodeHostname: HOSTILE,
  image: HOSTILE,
});

function run(...words: string[]): Promise<CliResult> {
  const api = fakeApi(swarmFixture(NOW_MS));
  const control = {
    ...api.control,
    getNode: async () => Promise.resolve(GetNodeResponse.create({ node: NODE })),
    async *listNodes() {
      yield ListNodesResponse.create({ nodes: [NODE] });
      await Promise.resolve();
    },
    async *listTasks() {
      yield ListTasksResponse.create({ tasks: [TASK] });
      await Promise.resolve();
    },
  };
  const node = scriptedClient(NodeService, {
    getInfo: api.node.getInfo,
    runDoctor: async () =>
      RunDoctorResponse.create({
        findings: [{ check: 'clock', outcome: DoctorOutcome.WARN, message: HOSTILE, hint: HOSTILE }],
      }),
  });
  return runCli(words, { api: { control, node } });
}

function completing(hostname: string): Promise<CliResult> {
  const control = {
    ...fakeApi(swarmFixture(NOW_MS)).control,
    async *listNodes() {
      yield ListNodesResponse.create({ nodes: [{ ...NODE, description: NodeDescription.create({ hostname }) }] });
      await Promise.resolve();
    },
  };
  return runCli(['complete', '--', 'node', 'inspect', ''], { api: { control } });
}

describe('cli: hostile names', () => {
  it('stay in their cells and on their lines', async () => {
    const pages: readonly (readonly string[])[] = [
      ['node', 'ls'],
      ['node', 'ls', '--format', 'table {{.Hostname}}\t{{.EngineVersion}}'],
      ['node', 'ps', 'n1'],
      ['node', 'ps', '--no-trunc', 'n1'],
      ['node', 'inspect', '--pretty', 'n1'],
    ];
    for (const words of pages) {
      const { stdout, stderr, exitCode } = await run(...words);
      assert.equal(exitCode, 0, stderr);
      assert.doesNotMatch(stdout, CONTROLS, words.join(' '));
      assert.doesNotMatch(stdout, /^root ok|\tReady\b/m, words.join(' '));
      assert.ok(stdout.includes(SHOWN), `${words.join(' ')}: ${stdout}`);
    }
  });

  it('reach scripts as they are', async () => {
    assert.equal((await run('node', 'ls', '--format', '{{.Hostname}}')).stdout, `${HOSTILE}\n`);
    const line = JSON.parse((await run('node', 'ls', '--format', 'json')).stdout) as { Hostname: string };
    assert.equal(line.Hostname, HOSTILE);
    const [document] = JSON.parse((await run('node', 'ls', '-o', 'json')).stdout) as { Hostname: string }[];
    assert.equal(document?.Hostname, HOSTILE);
    const [inspected] = JSON.parse((await run('node', 'inspect', 'n1')).stdout) as { Status: { Message: string } }[];
    assert.equal(inspected?.Status.Message, HOSTILE);
  });

  it('are not offered to a shell: the node is, by its id', async () => {
    const { stdout } = await run('complete', '--', 'node', 'inspect', '');
    assert.equal(stdout, `self\tthis node\n${NODE.id}\t${NODE.id}\n:4\n`);
    for (const hostname of ['$(reboot)', 'a;reboot', '-f', '`x`', 'a b', "a'", 'a\nb', ''])
      assert.match((await completing(hostname)).stdout, new RegExp(`^self\t.*\n${NODE.id}\t`));
    assert.match((await completing('web-1.example')).stdout, /^self\t.*\nweb-1\.example\t/);
  });

  it('move no cursor in what the doctor finds', async () => {
    const { stdout } = await run('doctor');
    assert.match(stdout, /evil\\u001b/);
    assert.doesNotMatch(stdout, CONTROLS);
  });

  it('move no cursor in lines, warnings and progress, on a terminal and off one', () => {
    for (const isTerminal of [false, true]) {
      let out = '';
      const stream = { write: (text: string | Uint8Array) => (out += String(text)), isTerminal, columns: 200 };
      const environment: CliEnvironment = {
        stdout: stream,
        stderr: stream,
        stdin: { isTerminal, chunks: async function* () {} },
        variables: {},
        clock: new ManualClock(NOW_MS),
        onInterrupt: () => () => {},
      };
      printLine(environment, HOSTILE);
      printWarning(environment, HOSTILE);
      const lines = progressLines(stream, environment);
      lines.show({ id: HOSTILE, text: HOSTILE, ...(isTerminal ? { done: 0.5 } : {}) });
      lines.message(HOSTILE);
      assert.doesNotMatch(out, /\x1b\[2J|\x9b|\x07|\u202e/);
      assert.equal(out.split(SHOWN).length, 3, 'the id and the text of the line of progress');
    }
  });

  it('move no cursor in errors and their ways out', () => {
    const errors = [
      new CliError(HOSTILE, { hint: HOSTILE }),
      new SwarmError({ code: 'conflict', reason: 'node-removed', message: HOSTILE, hint: HOSTILE }),
      new Error(HOSTILE),
    ];
    for (const error of errors)
      for (const debug of [false, true]) {
        const { text } = reportError(error, debug);
        assert.doesNotMatch(text, CONTROLS);
        assert.match(text, /evil\\u001b\[2J/);
      }
  });
});
