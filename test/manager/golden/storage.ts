/** What a manager keeps on disk, as test data: the directory of a log and a saved snapshot, with their keys. */
import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { silentLogger } from '#common/log.ts';
import { SeededRandom } from '#common/random.ts';
import { MemoryDisk } from '#manager/log/index.ts';
import { RaftLog, type RaftLogOptions } from '#manager/raft/index.ts';
import { ReplicatedStore } from '#manager/replicated-store/index.ts';
import type { IndexedStoreView } from '#manager/store/index.ts';
import type { MemoryNetwork } from '#test/manager/raft/support/memory-network.ts';

export const ROOT = join(import.meta.dirname, '../../golden/storage');
export const DIRECTORY = '/raft';

/** What is in the files, as JSON. */
export interface Expected {
  /** Hexadecimal. */
  readonly dataKey: string;
  readonly snapshotKey: string;
  readonly logs: readonly ExpectedLog[];
  /** Ids of the nodes that hold the log, at its end and when the snapshot was saved. */
  readonly voters: readonly string[];
  readonly savedMembers: readonly string[];
  readonly version: number;
  readonly objects: Readonly<Record<string, readonly object[]>>;
  /** Of the saved snapshot. */
  readonly savedVersion: number;
}

export interface ExpectedLog {
  /** Name of the directory. */
  readonly name: string;
  /** Whose log it is. */
  readonly nodeId: string;
  readonly address: string;
}

export interface Golden {
  readonly expected: Expected;
  /** Files of each log by its name. */
  readonly logs: ReadonlyMap<string, ReadonlyMap<string, Uint8Array>>;
  readonly snapshot: Uint8Array;
}

export async function writeGolden(release: string, golden: Golden): Promise<void> {
  const directory = join(ROOT, release);
  await rm(directory, { recursive: true, force: true });
  for (const [log, files] of golden.logs) {
    await mkdir(join(directory, log), { recursive: true });
    for (const [path, bytes] of files) await writeFile(join(directory, log, path.slice(DIRECTORY.length + 1)), bytes);
  }
  await writeFile(join(directory, 'swarm.snapshot'), golden.snapshot);
  await writeFile(join(directory, 'expected.json'), `${JSON.stringify(golden.expected, null, 1)}\n`);
}

export function releases(): Promise<readonly string[]> {
  return readdir(ROOT);
}

export async function readGolden(release: string): Promise<Golden> {
  const directory = join(ROOT, release);
  const expected = JSON.parse(await readFile(join(directory, 'expected.json'), 'utf8')) as Expected;
  const logs = new Map<string, ReadonlyMap<string, Uint8Array>>();
  for (const { name } of expected.logs) {
    const files = new Map<string, Uint8Array>();
    for (const file of await readdir(join(directory, name)))
      files.set(join(DIRECTORY, file), new Uint8Array(await readFile(join(directory, name, file))));
    logs.set(name, files);
  }
  return { expected, logs, snapshot: await readFile(join(directory, 'swarm.snapshot')) };
}

/** Bytes in hexadecimal, so that what is read can be compared with what is in JSON. */
export function plain(value: unknown): unknown {
  return JSON.parse(
    JSON.stringify(value, (_key, field: unknown) => {
      if (field instanceof Uint8Array) return Buffer.from(field).toString('hex');
      // What Buffer makes of itself before it comes here.
      if (typeof field === 'object' && field !== null && 'type' in field && field.type === 'Buffer' && 'data' in field)
        return Buffer.from(field.data as number[]).toString('hex');
      return field;
    }),
  );
}

export function objectsOf(view: IndexedStoreView): Record<string, readonly object[]> {
  const tables = ['cluster', 'node', 'service', 'revision', 'task'] as const;
  return Object.fromEntries(tables.map((table) => [table, plain([...view.all(table)]) as object[]]));
}

export interface Manager {
  readonly log: RaftLog;
  readonly store: ReplicatedStore;
  readonly disk: MemoryDisk;
  readonly started: Promise<void>;
}

export interface ManagerInit {
  readonly network: MemoryNetwork;
  readonly nodeId: string;
  readonly address: string;
  readonly dataKey: Uint8Array;
  readonly origin: RaftLogOptions['origin'];
  readonly seed: number;
  readonly disk?: MemoryDisk;
}

/** Small files: several segments and snapshots for some hundred entries. */
const CONFIG: NonNullable<RaftLogOptions['config']> = {
  tickMs: 10,
  campaignDelayMs: 10,
  handoverMs: 200,
  segmentBytes: 32 * 1024,
  allocateBytes: 8 * 1024,
  frameBytes: 8 * 1024,
  snapshotEntries: 40,
  snapshotsKept: 1,
  entriesKept: 5,
};

export function startManager({ network, nodeId, address, dataKey, origin, seed, disk: given }: ManagerInit): Manager {
  const disk = given ?? new MemoryDisk({ random: new SeededRandom(seed) });
  const log = new RaftLog({
    directory: DIRECTORY,
    keys: { current: dataKey },
    logger: silentLogger,
    random: new SeededRandom(seed + 1),
    disk,
    config: CONFIG,
    transport: network.transport(address),
    nodeId,
    address: () => address,
    featureLevel: 2,
    origin,
    onRemoved: () => {},
  });
  const store = new ReplicatedStore({ log, logger: silentLogger, random: new SeededRandom(seed + 2) });
  const started = store.start();
  started.catch(() => {});
  return { log, store, disk, started };
}
