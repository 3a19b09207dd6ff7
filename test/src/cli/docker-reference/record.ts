/**
 * Records what the docker CLI prints for the cases, as the reference for our own: test/golden/docker-cli/*.json.
 * Needs `docker` (28 or later) on the PATH, no daemon: `node test/src/cli/docker-reference/record.ts`.
 */
import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  type Case,
  CHANGE_CASES,
  HELP_CASES,
  INSPECT_CASES,
  LIST_CASES,
  NETWORK_REQUEST_CASES,
  REQUEST_CASES,
  USAGE_CASES,
} from './cases.ts';
import { FakeEngine } from './fake-engine.ts';
import type { Recorded, RecordedRequest } from './golden.ts';
import { PAYLOAD_CASES, PAYLOAD_HELP_CASES, PAYLOAD_REQUEST_CASES } from './payload-cases.ts';

const GOLDEN = new URL('../../../golden/docker-cli/', import.meta.url);

async function runDocker(words: readonly string[], socket: string): Promise<Recorded> {
  const env = {
    PATH: process.env.PATH,
    HOME: '/nonexistent',
    DOCKER_HOST: `unix://${socket}`,
    STARLING_REFERENCE: 'set',
  };
  return new Promise((resolve) => {
    const child = execFile('docker', [...words], { env, timeout: 10_000 }, (error, stdout, stderr) => {
      const exitCode = error === null ? 0 : typeof error.code === 'number' ? error.code : -1;
      resolve({ words, stdout, stderr, exitCode });
    });
    // Whoever is asked says nothing.
    child.stdin?.end();
  });
}

async function main(): Promise<void> {
  const directory = await mkdtemp(join(tmpdir(), 'docker-reference-'));
  const socket = join(directory, 'docker.sock');
  const engine = new FakeEngine();
  engine.server.listen(socket);
  await once(engine.server, 'listening');
  try {
    const groups = {
      list: LIST_CASES,
      inspect: INSPECT_CASES,
      change: CHANGE_CASES,
      usage: USAGE_CASES,
      help: HELP_CASES,
    };
    for (const [name, cases] of Object.entries(groups)) await write(name, await outputs(engine, cases, socket));
    await write('requests', await requests(engine, REQUEST_CASES, socket));
    await write('payloads', await outputs(engine, PAYLOAD_CASES, socket));
    await write('payload-help', await outputs(engine, PAYLOAD_HELP_CASES, socket));
    await write('payload-requests', await requests(engine, PAYLOAD_REQUEST_CASES, socket));
    await write('network-requests', await requests(engine, NETWORK_REQUEST_CASES, socket));
  } finally {
    engine.server.close();
    await rm(directory, { recursive: true });
  }
}

async function outputs(engine: FakeEngine, cases: readonly Case[], socket: string): Promise<readonly Recorded[]> {
  const recorded: Recorded[] = [];
  for (const { words } of cases) {
    engine.reset();
    const result = await runDocker(words, socket);
    if (result.exitCode === -1) throw new Error(`docker ${words.join(' ')}: did not end`);
    recorded.push(result);
  }
  return recorded;
}

async function requests(
  engine: FakeEngine,
  cases: readonly Case[],
  socket: string,
): Promise<readonly RecordedRequest[]> {
  const recorded: RecordedRequest[] = [];
  for (const { words } of cases) {
    engine.reset();
    const { exitCode, stderr } = await runDocker(words, socket);
    const [body] = engine.bodies;
    if (exitCode !== 0 || body === undefined) throw new Error(`docker ${words.join(' ')}: exit ${exitCode}: ${stderr}`);
    recorded.push({ words, body: JSON.parse(body) as object });
  }
  return recorded;
}

async function write(name: string, recorded: readonly object[]): Promise<void> {
  await writeFile(new URL(`${name}.json`, GOLDEN), `${JSON.stringify(recorded, undefined, 1)}\n`);
  process.stdout.write(`${name}: ${recorded.length}\n`);
}

await main();
