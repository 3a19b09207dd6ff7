/** Connections that last: a server that ticks for as long as its client asks it to, and clients anywhere in a lab. */
import assert from 'node:assert/strict';
import type { ChildProcess } from 'node:child_process';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import type { Lab } from '#src/lab/lab.ts';
import { eventually } from '#test/support/eventually.ts';
import type { LoadOrigin } from '../http-load/http-load.ts';

const PROGRAM = fileURLToPath(new URL('stream-program.ts', import.meta.url));
const BEGIN_MS = 20_000;

export const TICK_MS = 100;

/** Of an image with busybox: says its host's name, ticks as often as it is asked to, and says that this is the end. */
export function streamServer(port: number): readonly string[] {
  const script =
    'read count; hostname; while [ $count -gt 0 ]; do echo tick; sleep 0.1; count=$((count - 1)); done; echo end';
  return ['nc', '-ll', '-p', String(port), '-e', 'sh', '-c', script];
}

export interface StreamOrder {
  /** In turn. */
  readonly hosts: readonly string[];
  readonly port: number;
  readonly nameserver?: string | undefined;
  /** One connection each, with so many ticks. */
  readonly ticks: readonly number[];
}

export type StreamEvent =
  | { readonly what: 'begun'; readonly server: string; readonly ticks: number }
  | {
      readonly what: 'ended';
      readonly server: string;
      readonly ticks: number;
      /** All that was asked for has come. */
      readonly isWhole: boolean;
      /** "ended", or the errno. */
      readonly how: string;
    };

export type SeenEvent = StreamEvent & { readonly atMs: number };
export type EndedEvent = SeenEvent & { readonly what: 'ended' };

export class Streams {
  readonly #child: ChildProcess;
  readonly #events: SeenEvent[] = [];

  private constructor(child: ChildProcess) {
    this.#child = child;
    child.once('error', () => {}); // nothing begins then
    assert.ok(child.stdout);
    createInterface(child.stdout).on('line', (line) => {
      const event = JSON.parse(line) as StreamEvent; // lines of our own program
      this.#events.push({ ...event, atMs: performance.now() });
    });
  }

  /** Resolves when all have begun. */
  static async open(lab: Lab, origin: LoadOrigin, order: StreamOrder): Promise<Streams> {
    const { host, processId } = origin;
    const inside = processId === undefined ? [] : ['nsenter', `--net=/proc/${processId}/ns/net`];
    const command = [...inside, process.execPath, PROGRAM, JSON.stringify(order)];
    const streams = new Streams(await lab.spawn(host, command, { stdio: ['ignore', 'pipe', 'inherit'] }));
    const begun = (): number => streams.#events.filter(({ what }) => what === 'begun').length;
    await eventually(
      () => `${order.ticks.length} streams to begin: ${JSON.stringify(streams.#events)}`,
      () => begun() === order.ticks.length,
      { timeoutMs: BEGIN_MS },
    );
    return streams;
  }

  get events(): readonly SeenEvent[] {
    return this.#events;
  }

  /** Those of one server, and how they ended so far. */
  endsOf(server: string, ticks: number): readonly EndedEvent[] {
    return this.#events.filter(
      (event): event is EndedEvent => event.what === 'ended' && event.server === server && event.ticks === ticks,
    );
  }

  countOf(server: string, ticks: number): number {
    return this.#events.filter((one) => one.what === 'begun' && one.server === server && one.ticks === ticks).length;
  }

  close(): void {
    this.#child.kill('SIGKILL');
  }
}
