/** `swarm events` on a host of a lab, for as long as a test wants it. */
import assert from 'node:assert/strict';
import type { ChildProcess } from 'node:child_process';
import type { Lab } from '#src/lab/lab.ts';
import { eventually } from '#test/support/eventually.ts';

export interface SeenEvent {
  readonly Version: number;
  readonly Type: string;
  readonly Action: string;
  readonly Message: string;
  readonly By: { readonly Kind: string; readonly Name: string };
}

export class EventFollower {
  readonly #process: ChildProcess;
  #text = '';
  /** What it wrote to its standard error. */
  warnings = '';

  private constructor(child: ChildProcess) {
    this.#process = child;
    child.stdout?.on('data', (data: Buffer) => {
      this.#text += data.toString();
    });
    child.stderr?.on('data', (data: Buffer) => {
      this.warnings += data.toString();
    });
  }

  /** Follows from the first event that is kept. */
  static async start(lab: Lab, host: string): Promise<EventFollower> {
    const command = ['swarm', 'events', '--since', 'v0', '--format', 'json'];
    return new EventFollower(await lab.spawn(host, command, { stdio: ['ignore', 'pipe', 'pipe'] }));
  }

  get seen(): readonly SeenEvent[] {
    const lines = this.#text.split('\n').slice(0, -1);
    return lines.map((line) => JSON.parse(line) as SeenEvent);
  }

  /** Resolves when it has seen such an event. */
  async until(what: string, isIt: (event: SeenEvent) => boolean, timeoutMs = 60_000): Promise<void> {
    await eventually(
      () => `an event: ${what}; seen: ${this.seen.map(({ Message }) => Message).join('; ')}; ${this.warnings}`,
      () => this.seen.some(isIt),
      { timeoutMs, everyMs: 100 },
    );
  }

  async stop(): Promise<void> {
    if (this.#process.exitCode !== null) return;
    const ended = new Promise<void>((resolve) => this.#process.once('exit', () => resolve()));
    this.#process.kill('SIGINT');
    await ended;
  }

  /** What both saw is the same, once each and in one order, as far as both came. */
  static same(a: EventFollower, b: EventFollower): void {
    const [left, right] = [a, b].map(({ seen }) => seen.map((event) => JSON.stringify(event)));
    assert.ok(left !== undefined && right !== undefined);
    const both = Math.min(left.length, right.length);
    assert.deepEqual(left.slice(0, both), right.slice(0, both));
    assert.equal(new Set(left).size, left.length, 'none came twice');
  }
}
