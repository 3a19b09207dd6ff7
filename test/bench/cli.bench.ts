/**
 * How long a command takes from start to end, as a user waits for it: the bundle of `make build` on a real socket with
 * a small swarm behind it, beside a bare start of Node.js and, where it is installed, the docker CLI with a listing of
 * the same objects. CPU time is that of the program and its launcher, which a busy machine changes less. The project
 * promises a listing within 90 ms.
 */
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { performance } from 'node:perf_hooks';
import { promisify } from 'node:util';
import { FakeEngine } from '#test/src/cli/docker-reference/fake-engine.ts';
import { startSocketDaemon } from '#test/src/cli/support/socket-daemon.ts';
import { swarmFixture } from '#test/src/cli/swarm-fixture.ts';

const RUNS = 21;
const LISTING_MAX_MS = 90;

const ROOT = join(import.meta.dirname, '../..');
const SWARM = join(ROOT, 'bin/swarm');

async function wallMs(program: string, words: readonly string[], variables: NodeJS.ProcessEnv): Promise<number> {
  const start = performance.now();
  const child = spawn(program, words, { stdio: 'ignore', env: { ...process.env, ...variables } });
  const [code] = (await once(child, 'close')) as [number | null];
  if (code !== 0) throw new Error(`${program} ${words.join(' ')}: exit ${code}`);
  return performance.now() - start;
}

/** User and system time together, as the shell's `times` has them of its children. */
async function cpuMs(program: string, words: readonly string[], variables: NodeJS.ProcessEnv): Promise<number> {
  const script = '"$@" >/dev/null; times';
  const { stdout } = await promisify(execFile)('bash', ['-c', script, 'bash', program, ...words], {
    env: { ...process.env, ...variables },
  });
  const children = stdout.trim().split('\n').at(-1) ?? '';
  const seconds = [...children.matchAll(/(\d+)m([\d.]+)s/g)].map(
    ([, minutes, rest]) => Number(minutes) * 60 + Number(rest),
  );
  return seconds.reduce((sum, value) => sum + value, 0) * 1000;
}

function medianOf(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0;
}

async function measure(
  name: string,
  program: string,
  words: readonly string[],
  variables: NodeJS.ProcessEnv = {},
): Promise<number> {
  const walls: number[] = [];
  const cpus: number[] = [];
  for (let i = 0; i < RUNS; i++) {
    walls.push(await wallMs(program, words, variables));
    cpus.push(await cpuMs(program, words, variables));
  }
  const columns = [medianOf(walls), Math.min(...walls), medianOf(cpus)].map((value) => value.toFixed(0).padStart(5));
  console.log(`${name.padEnd(32)} median ${columns[0]} ms   best ${columns[1]} ms   CPU ${columns[2]} ms`);
  return medianOf(walls);
}

async function measureDocker(): Promise<void> {
  const directory = await mkdtemp(join(tmpdir(), 'cli-bench-'));
  const engine = new FakeEngine();
  try {
    const socket = join(directory, 'docker.sock');
    engine.server.listen(socket);
    await once(engine.server, 'listening');
    await measure('docker service ls', 'docker', ['service', 'ls'], { DOCKER_HOST: `unix://${socket}` });
  } finally {
    engine.server.close();
    await rm(directory, { recursive: true });
  }
}

async function main(): Promise<void> {
  const daemon = await startSocketDaemon(swarmFixture(Date.now()));
  try {
    if (!existsSync(join(ROOT, 'dist/swarm.cjs'))) throw new Error('dist/ is missing: run make build');
    await measure('node, nothing to do', process.execPath, ['-e', '0']);
    await measure('swarm --version', SWARM, ['--version']);
    await measure('swarm service create --help', SWARM, ['service', 'create', '--help']);
    const listing = await measure('swarm service ls', SWARM, ['--socket', daemon.socket, 'service', 'ls']);
    await measure('swarm node ls', SWARM, ['--socket', daemon.socket, 'node', 'ls']);
    await measure('the same from source', SWARM, ['--socket', daemon.socket, 'service', 'ls'], {
      STARLING_FROM_SOURCE: '1',
    });
    if ((process.env.PATH ?? '').split(':').some((folder) => existsSync(join(folder, 'docker')))) await measureDocker();
    else console.log('docker CLI: not installed, no peer');
    const verdict = listing <= LISTING_MAX_MS ? 'held' : 'NOT held (is the machine busy?)';
    console.log(`a listing within ${LISTING_MAX_MS} ms: ${verdict}`);
  } finally {
    await daemon.close();
  }
}

await main();
