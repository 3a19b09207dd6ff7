/** Loads of HTTP requests that run beside a test, on any host of a lab or from inside a container's network. */
import assert from 'node:assert/strict';
import type { ChildProcess } from 'node:child_process';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import type { Lab } from '#src/lab/lab.ts';
import type { HttpLoadOptions, HttpLoadReport } from './load-report.ts';

const PROGRAM = fileURLToPath(new URL('load-program.ts', import.meta.url));

/** Where the requests come from. */
export interface LoadOrigin {
  /** A host of the lab, or the fabric. */
  readonly host: string;
  /** A process of that host whose network the load uses: that of a container. */
  readonly processId?: number;
}

export class HttpLoad {
  readonly #child: ChildProcess;
  readonly #report: Promise<HttpLoadReport>;
  #errors = '';
  #requests = 0;

  private constructor(child: ChildProcess) {
    this.#child = child;
    // Its output ends then, and what is said about that has the reason.
    child.once('error', (error) => {
      this.#errors += error.message;
    });
    child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.#errors += text;
    });
    this.#report = this.#read();
    // Whoever finishes the load hears of it; a load that is killed has nothing to say.
    this.#report.catch(() => {});
  }

  static async start(lab: Lab, origin: LoadOrigin, options: HttpLoadOptions): Promise<HttpLoad> {
    const { host, processId } = origin;
    const inside = processId === undefined ? [] : ['nsenter', `--net=/proc/${processId}/ns/net`];
    const command = [...inside, process.execPath, PROGRAM, JSON.stringify(options)];
    return new HttpLoad(await lab.spawn(host, command, { stdio: 'pipe' }));
  }

  /** As many as were made when it last said so. */
  get requests(): number {
    return this.#requests;
  }

  /** Lets it make the rest of its requests, and says what came of all. */
  finish(): Promise<HttpLoadReport> {
    this.#child.stdin?.end();
    return this.#report;
  }

  async #read(): Promise<HttpLoadReport> {
    assert.ok(this.#child.stdout);
    for await (const line of createInterface(this.#child.stdout)) {
      const said = JSON.parse(line) as HttpLoadReport | number; // lines of our own program
      if (typeof said !== 'number') return said;
      this.#requests = said;
    }
    assert.fail(`the load says what came of it: ${this.#errors}`);
  }

  /** For a test that has failed already. */
  kill(): void {
    this.#child.kill('SIGKILL');
  }
}

/** One line: what came of a load. */
export function describeLoad(report: HttpLoadReport): string {
  const { requests, failed, seconds, connections, askedAgain, p99Ms, slowestMs, answers } = report;
  const rate = Math.round(requests / seconds);
  const kinds = failed === 0 ? '' : ` ${JSON.stringify(report.failures)}`;
  return (
    `${requests} requests, ${failed} failed${kinds}, ${seconds.toFixed(1)} s, ${rate}/s, ${connections} connections, ` +
    `${askedAgain} asked again, ${Object.keys(answers).length} servers, p99 ${p99Ms.toFixed(1)} ms, slowest ${slowestMs.toFixed(0)} ms`
  );
}
