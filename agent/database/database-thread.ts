/**
 * The thread that owns agent.db: node:sqlite is synchronous, and the event loop of the daemon must not wait for disks.
 * Every message is one transaction; all messages that have queued up meanwhile become one transaction together.
 */
import { chmodSync, closeSync, existsSync, openSync } from 'node:fs';
import { DatabaseSync, type StatementSync } from 'node:sqlite';
import { parentPort, receiveMessageOnPort, workerData } from 'node:worker_threads';

export interface ThreadRow {
  readonly sql: keyof typeof SQL;
  readonly values: readonly (string | number | Uint8Array | null)[];
}

export interface ThreadRequest {
  readonly sequence: number;
  readonly rows: readonly ThreadRow[];
  readonly load?: boolean;
  readonly close?: boolean;
}

export interface ThreadAnswer {
  readonly sequence: number;
  readonly error?: string;
  readonly loaded?: LoadedRows;
}

export interface LoadedRows {
  readonly tasks: readonly {
    readonly task: Uint8Array;
    readonly status: Uint8Array | null;
    readonly wanted: number;
    readonly stop_reason: string | null;
  }[];
  readonly revisions: readonly { readonly revision: Uint8Array }[];
  readonly settings: readonly { readonly key: string; readonly value: string }[];
  readonly networks: readonly { readonly change: Uint8Array }[];
}

/** Version of the tables; a database of a newer release is refused rather than guessed at. */
const FORMAT = 1;
const PRIVATE = 0o600;

const SQL = {
  putTask:
    'INSERT INTO tasks (id, task, wanted, stop_reason) VALUES (?, ?, ?, ?) ON CONFLICT (id) DO UPDATE SET task = excluded.task, wanted = excluded.wanted, stop_reason = excluded.stop_reason',
  putStatus: 'UPDATE tasks SET status = ? WHERE id = ?',
  deleteTask: 'DELETE FROM tasks WHERE id = ?',
  putRevision: 'INSERT OR REPLACE INTO revisions (service_id, number, revision) VALUES (?, ?, ?)',
  deleteRevision: 'DELETE FROM revisions WHERE service_id = ? AND number = ?',
  putNetworkEntry: 'INSERT OR REPLACE INTO network_entries (network_id, key, change) VALUES (?, ?, ?)',
  deleteNetworkEntry: 'DELETE FROM network_entries WHERE network_id = ? AND key = ?',
  deleteNetwork: 'DELETE FROM network_entries WHERE network_id = ?',
  putSetting: 'INSERT OR REPLACE INTO settings (key, value) VALUES (?, ?)',
} as const;

const TABLES = `
  CREATE TABLE IF NOT EXISTS tasks (id TEXT PRIMARY KEY, task BLOB NOT NULL, status BLOB, wanted INTEGER NOT NULL, stop_reason TEXT) WITHOUT ROWID;
  CREATE TABLE IF NOT EXISTS revisions (service_id TEXT, number INTEGER, revision BLOB NOT NULL, PRIMARY KEY (service_id, number)) WITHOUT ROWID;
  CREATE TABLE IF NOT EXISTS network_entries (network_id TEXT, key TEXT, change BLOB NOT NULL, PRIMARY KEY (network_id, key)) WITHOUT ROWID;
  CREATE TABLE IF NOT EXISTS settings (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
`;

/**
 * What tasks are started with is nobody else's business: before anything is written, and for what an earlier release has
 * left. The files beside the database get its mode.
 */
function keepPrivate(path: string): void {
  closeSync(openSync(path, 'a', PRIVATE));
  for (const file of [path, `${path}-wal`, `${path}-shm`]) if (existsSync(file)) chmodSync(file, PRIVATE);
}

/** Releases before it know nothing of this column, and leave it alone: the format is still the same. */
function addStopReason(database: DatabaseSync): void {
  const columns = database.prepare('PRAGMA table_info(tasks)').all() as { readonly name: string }[];
  if (!columns.some(({ name }) => name === 'stop_reason'))
    database.exec('ALTER TABLE tasks ADD COLUMN stop_reason TEXT');
}

function open(path: string): DatabaseSync {
  keepPrivate(path);
  const database = new DatabaseSync(path);
  // WAL with NORMAL survives the death of the process; a power cut may lose the last moments, and takes the containers
  // with it anyway.
  database.exec('PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA busy_timeout = 2000;');
  const { user_version: version } = database.prepare('PRAGMA user_version').get() as { user_version: number };
  if (version > FORMAT) throw new Error(`${path} has format ${version}, this release reads up to ${FORMAT}`);
  database.exec(TABLES);
  addStopReason(database);
  database.exec(`PRAGMA user_version = ${FORMAT}`);
  return database;
}

function load(database: DatabaseSync): LoadedRows {
  return {
    tasks: database.prepare('SELECT task, status, wanted, stop_reason FROM tasks').all() as LoadedRows['tasks'] &
      never[],
    revisions: database.prepare('SELECT revision FROM revisions').all() as LoadedRows['revisions'] & never[],
    settings: database.prepare('SELECT key, value FROM settings').all() as LoadedRows['settings'] & never[],
    networks: database.prepare('SELECT change FROM network_entries').all() as LoadedRows['networks'] & never[],
  };
}

function serve(path: string): void {
  const port = parentPort;
  if (port === null) throw new Error('database-thread runs as a worker thread only');
  let database: DatabaseSync | undefined;
  const statements = new Map<string, StatementSync>();

  const write = (requests: readonly ThreadRequest[]): void => {
    const target = (database ??= open(path));
    target.exec('BEGIN');
    try {
      for (const request of requests)
        for (const row of request.rows) {
          let statement = statements.get(row.sql);
          if (statement === undefined) statements.set(row.sql, (statement = target.prepare(SQL[row.sql])));
          statement.run(...row.values);
        }
      target.exec('COMMIT');
    } catch (error) {
      // A full disk has rolled it back already.
      if (target.isTransaction) target.exec('ROLLBACK');
      throw error;
    }
  };

  port.on('message', (first: ThreadRequest) => {
    const requests = [first];
    for (let next = receiveMessageOnPort(port); next !== undefined; next = receiveMessageOnPort(port))
      requests.push(next.message as ThreadRequest);
    let error: string | undefined;
    try {
      if (requests.some((request) => request.rows.length > 0 || request.load === true)) write(requests);
    } catch (thrown) {
      error = thrown instanceof Error ? thrown.message : String(thrown);
    }
    for (const request of requests) {
      const answer: ThreadAnswer = {
        sequence: request.sequence,
        ...(error === undefined ? {} : { error }),
        ...(request.load === true && error === undefined && database !== undefined ? { loaded: load(database) } : {}),
      };
      port.postMessage(answer);
      if (request.close === true) {
        database?.close();
        port.close();
      }
    }
  });
}

serve((workerData as { path: string }).path);
