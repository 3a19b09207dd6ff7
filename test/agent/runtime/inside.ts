/**
 * Tests that mount and make containers run in a mount namespace of their own, as the agent does: crun needs it on
 * hybrid machines, and with the namespace all mounts go. The test file starts itself again in there, and what came of
 * its tests appears as tests here.
 */
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import Mocha from 'mocha';
import { runProcess } from '#agent/kernel/run-process.ts';
import { ensureMountNamespace, removeMountNamespace, requireProgram } from '#agent/runtime/index.ts';
import { SKIPPED, skipBecause } from '#test/support/skip-because.ts';

const INSIDE = 'STARLING_TEST_INSIDE';
const ROOT = fileURLToPath(new URL('../../..', import.meta.url));
const LEFT_OVER = 'test/support/left-over.ts';
const TIMEOUT_MS = 300_000;

interface Outcome {
  readonly fullTitle: string;
  readonly title: string;
  readonly err: { readonly message?: string; readonly stack?: string };
}

interface Report {
  readonly tests: readonly Outcome[];
  readonly pending: readonly { readonly fullTitle: string }[];
  readonly failures: readonly Outcome[];
}

async function runInside(file: string): Promise<Report> {
  const directory = await mkdtemp(join(tmpdir(), 'starling-ns-'));
  try {
    const namespace = await ensureMountNamespace(directory);
    const output = join(directory, 'report.json');
    const run = await runProcess({
      file: await requireProgram('nsenter', 'util-linux'),
      args: [
        `--mount=${namespace}`,
        '--',
        process.execPath,
        join(ROOT, 'node_modules/mocha/bin/mocha.js'),
        ...['--no-config', '--extension', 'ts', '--timeout', '30000', '--require', join(ROOT, LEFT_OVER)],
        ...['--reporter', 'json', '--reporter-option', `output=${output}`],
        file,
      ],
      env: { ...(process.env as Record<string, string>), [INSIDE]: '1' },
      directory: ROOT,
      timeoutMs: TIMEOUT_MS,
      outputBytesMax: 1024 * 1024,
    });
    const text = await readFile(output, 'utf8').catch(() => undefined);
    for (const line of run.stdout.split('\n')) if (line.startsWith(SKIPPED)) console.log(line);
    if (text === undefined) throw new Error(`${file} did not run (exit ${run.exitCode}):\n${run.stderr}${run.stdout}`);
    const report = JSON.parse(text) as Report;
    if (report.failures.length === 0 && run.exitCode !== 0)
      throw new Error(`${file} failed without a test that did (exit ${run.exitCode}):\n${run.stderr}`);
    return report;
  } finally {
    await removeMountNamespace(directory);
    await rm(directory, { recursive: true, force: true });
  }
}

/** A `describe` whose tests run in a mount namespace of their own. Once a file; `import.meta.filename` names it. */
export function describeInside(file: string, title: string, body: () => void): void {
  if (process.env[INSIDE] === '1') {
    describe(title, body);
    return;
  }
  describe(title, function (this: Mocha.Suite) {
    this.timeout(TIMEOUT_MS);
    before('run the tests inside', async function (this: Mocha.Context) {
      if (process.getuid?.() !== 0) skipBecause(this, 'containers need root');
      const report = await runInside(file);
      const pending = new Set(report.pending.map((one) => one.fullTitle));
      if (report.tests.length === 0 && report.failures.length === 0) throw new Error(`${file} has no tests inside`);
      const suite = this.test?.parent;
      for (const outcome of report.tests) {
        const name = outcome.fullTitle.slice(title.length + 1);
        const test = new Mocha.Test(
          name,
          pending.has(outcome.fullTitle)
            ? undefined
            : () => {
                if (outcome.err.message === undefined && outcome.err.stack === undefined) return;
                const error = new Error(outcome.err.message);
                error.stack = outcome.err.stack ?? error.stack ?? '';
                throw error;
              },
        );
        suite?.addTest(test);
      }
      const hooks = report.failures.filter((one) => one.title.includes('hook'));
      for (const failure of hooks) throw new Error(`${failure.fullTitle}: ${failure.err.stack ?? failure.err.message}`);
    });
    it('enters a mount namespace of its own', () => {});
  });
}
