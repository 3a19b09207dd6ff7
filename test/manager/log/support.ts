import type { Clock } from '#common/clock.ts';
import { SwarmError } from '#common/errors.ts';
import { silentLogger } from '#common/log.ts';
import { SeededRandom } from '#common/random.ts';
import { systemClock } from '#common/system/clock.ts';
import {
  type Disk,
  type LogConfig,
  type LogEntry,
  type LogPosition,
  MemoryDisk,
  type MemoryDiskOptions,
  type StateMachine,
} from '#manager/log/index.ts';
import { type LogOrigin, type PeerTransport, RaftLog, type RaftLogOptions } from '#manager/raft/index.ts';
import { eventually } from '#test/support/eventually.ts';

export const DIRECTORY = '/log';
export const KEYS = { current: new Uint8Array(32).fill(7) };

/** Small enough that a short history has several segments, extensions and snapshots. */
export const SMALL: Partial<LogConfig> = {
  segmentBytes: 32 * 1024,
  allocateBytes: 8 * 1024,
  frameBytes: 8 * 1024,
  snapshotEntries: 1_000_000,
  snapshotSyncBytes: 256,
};

/** Remembers what was applied; its snapshot is all of it, a few entries a chunk. */
export class RecordingMachine implements StateMachine {
  applied: string[] = [];
  restoredAt: LogPosition | undefined;
  tickets: (object | undefined)[] = [];

  async restore(position: LogPosition, chunks: AsyncIterable<Uint8Array>): Promise<void> {
    this.applied = [];
    this.restoredAt = position;
    for await (const chunk of chunks) this.applied.push(...(JSON.parse(Buffer.from(chunk).toString()) as string[]));
  }

  apply(entry: LogEntry): void {
    this.applied.push(Buffer.from(entry.data).toString());
    this.tickets.push(entry.ticket);
  }

  snapshot(): Iterable<Uint8Array> {
    // Here, not in the generator, which would look only when the first chunk is pulled.
    return chunksOf([...this.applied]);
  }
}

function* chunksOf(all: readonly string[]): Iterable<Uint8Array> {
  for (let from = 0; from < all.length; from += 3) yield Buffer.from(JSON.stringify(all.slice(from, from + 3)));
}

/** Of a log that has one member. */
export const NO_PEERS: PeerTransport = {
  start: () => {},
  setPeers: () => {},
  send: () => {},
  sendSnapshot: () => Promise.reject(new Error('there is nobody to send it to')),
  peer: () => undefined,
  close: () => Promise.resolve(),
};

export interface OpenLog {
  readonly log: RaftLog;
  readonly machine: RecordingMachine;
}

/** Goes up after every test: what was left running by an earlier one is as if its process had ended. */
let era = 0;

// Benchmarks use this file too.
if ('afterEach' in globalThis)
  afterEach(() => {
    era++;
  });

/** The machine's clock, for a process on this disk: it stands still once the power has failed or the test is over. */
export function processClock(disk: Disk | undefined): Clock {
  const born = era;
  const lives = (): boolean => born === era && !(disk instanceof MemoryDisk && disk.isDown);
  return {
    ...systemClock,
    setTimer: (delayMs, fire) => {
      if (!lives()) return () => {};
      return systemClock.setTimer(delayMs, () => {
        if (lives()) fire();
      });
    },
  };
}

/** A log of one member that is not started yet. */
export function oneMemberLog(
  kind: Exclude<LogOrigin['kind'], 'join'>,
  options: Partial<Omit<RaftLogOptions, 'origin'>> = {},
): RaftLog {
  return new RaftLog({
    directory: DIRECTORY,
    keys: KEYS,
    logger: silentLogger,
    transport: NO_PEERS,
    nodeId: 'node',
    address: () => '127.0.0.1:2377',
    featureLevel: 1,
    origin: { kind },
    onRemoved: () => {},
    clock: processClock(options.disk),
    ...options,
  });
}

/** The log in the directory, or a new one where there is none. */
export async function openLog(disk: Disk, config: Partial<LogConfig> = {}, directory = DIRECTORY): Promise<OpenLog> {
  const options = { disk, directory, config: { ...SMALL, ...config } };
  for (const kind of ['resume', 'found'] as const) {
    const machine = new RecordingMachine();
    const log = oneMemberLog(kind, options);
    try {
      await log.start(machine);
      return { log, machine };
    } catch (thrown) {
      if (kind === 'found' || !SwarmError.from(thrown).message.includes('holds no log')) throw thrown;
    }
  }
  throw new Error('not reached');
}

export function memoryDisk(options: Partial<MemoryDiskOptions> = {}): MemoryDisk {
  return new MemoryDisk({ random: new SeededRandom(1), ...options });
}

/** The disk after a crash or an orderly end, without further faults. */
export function reopened(disk: MemoryDisk, seed = 2): MemoryDisk {
  return disk.afterCrash({ random: new SeededRandom(seed) });
}

export function bytes(text: string): Uint8Array {
  return Buffer.from(text);
}

export const WAIT = { timeoutMs: 10_000 };

/** Resolves when the condition holds; rejects after ten seconds. */
export function until(condition: () => boolean, what: string): Promise<void> {
  return eventually(what, condition, { everyMs: 2 });
}
