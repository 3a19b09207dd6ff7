/**
 * Records what the docker CLI prints of images and what it sends as build contexts, as the reference for our own:
 * test/golden/docker-cli/{image,build-context}.json. Needs `docker` (28 or later, without buildx) on the PATH, no
 * daemon: `node test/src/cli/image/docker-reference/record.ts`.
 */
import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { BAD_IGNORES, CONTEXT_CASES, IMAGE_CASES } from './cases.ts';
import { makeTree, membersOf } from './context-tree.ts';
import { FakeImageEngine } from './fake-image-engine.ts';
import type { RecordedBadIgnore, RecordedContext, RecordedImageCase } from './golden.ts';

const GOLDEN = new URL('../../../../golden/docker-cli/', import.meta.url);

interface Run {
  readonly words: readonly string[];
  readonly socket: string;
  readonly stdin?: string | undefined;
  readonly directory?: string;
}

async function runDocker({ words, socket, stdin, directory = '/' }: Run): Promise<RecordedImageCase> {
  const env = {
    PATH: process.env.PATH,
    HOME: '/nonexistent',
    DOCKER_HOST: `unix://${socket}`,
    DOCKER_BUILDKIT: '0',
    TZ: 'UTC',
  };
  return new Promise((resolve) => {
    const options = { env, timeout: 10_000, cwd: directory };
    const child = execFile('docker', [...words], options, (error, stdout, stderr) => {
      const exitCode = error === null ? 0 : typeof error.code === 'number' ? error.code : -1;
      const input = stdin === undefined ? {} : { stdin };
      resolve({ words, ...input, stdout, stderr: withoutDeprecation(stderr), exitCode });
    });
    child.stdin?.on('error', () => {});
    child.stdin?.end(stdin ?? '');
  });
}

/** What is said of the builder that has no BuildKit. */
function withoutDeprecation(text: string): string {
  return text.replace(/^DEPRECATED: .*\n(?: +.*\n)+\n/m, '');
}

async function main(): Promise<void> {
  const directory = await mkdtemp(join(tmpdir(), 'docker-reference-'));
  const socket = join(directory, 'docker.sock');
  const engine = new FakeImageEngine();
  engine.server.listen(socket);
  await once(engine.server, 'listening');
  try {
    const recorded: RecordedImageCase[] = [];
    for (const { words, stdin } of IMAGE_CASES) recorded.push(await runDocker({ words, socket, stdin }));
    await write('image', recorded, recorded.length);
    const contexts = await recordContexts(engine, socket);
    const badIgnores = await recordBadIgnores(socket);
    await write('build-context', { contexts, badIgnores }, contexts.length);
  } finally {
    engine.server.close();
    await rm(directory, { recursive: true });
  }
}

async function recordContexts(engine: FakeImageEngine, socket: string): Promise<readonly RecordedContext[]> {
  const recorded: RecordedContext[] = [];
  for (const context of CONTEXT_CASES) {
    const directory = await makeTree(context.tree, context.dockerignore);
    engine.build = undefined;
    const words = ['build', ...(context.words ?? []), '.'];
    const { exitCode, stderr } = await runDocker({ words, socket, directory });
    await rm(directory, { recursive: true });
    const { build } = engine as { build: FakeImageEngine['build'] };
    if (exitCode !== 0 || build === undefined) throw new Error(`${context.name}: exit ${exitCode}: ${stderr}`);
    recorded.push({ ...context, dockerfile: build.dockerfile, members: membersOf(build.context) });
  }
  return recorded;
}

async function recordBadIgnores(socket: string): Promise<readonly RecordedBadIgnore[]> {
  const recorded: RecordedBadIgnore[] = [];
  for (const dockerignore of BAD_IGNORES) {
    const directory = await makeTree({ Dockerfile: 'FROM scratch\n' }, dockerignore);
    const { exitCode } = await runDocker({ words: ['build', '.'], socket, directory });
    await rm(directory, { recursive: true });
    recorded.push({ dockerignore, exitCode });
  }
  return recorded;
}

async function write(name: string, value: object, count: number): Promise<void> {
  await writeFile(new URL(`${name}.json`, GOLDEN), `${JSON.stringify(value, undefined, 1)}\n`);
  process.stdout.write(`${name}: ${count}\n`);
}

await main();
