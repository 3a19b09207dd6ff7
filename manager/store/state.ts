import type { Task, TaskState } from '#gen/swarm/v1/objects.ts';
import { EMPTY_ID_SET, type IdSet, idSetValues } from './id-set.ts';
import { Lookups } from './lookups.ts';
import { PersistentMap } from './persistent-map.ts';
import type { NamedTable, TableName, Tables } from './stored-objects.ts';
import { type MultipleIndex, TABLE_NAMES, TABLES, type UniqueIndex } from './tables.ts';
import type { IndexedStoreView } from './types.ts';

/** One table at one version. Invariant: every index holds exactly what its function says of the objects. */
export interface TableState<T> {
  readonly objects: PersistentMap<T>;
  /** Index name -> key -> id. */
  readonly unique: Readonly<Record<string, PersistentMap<string>>>;
  /** Index name -> key -> ids. */
  readonly multiple: Readonly<Record<string, PersistentMap<IdSet>>>;
}

export type AllTables = { readonly [Name in TableName]: TableState<Tables[Name]> };

/** All tables at one version: immutable, so it is its own view. New ones are made by an `Editor`. */
export class StoreState extends Lookups implements IndexedStoreView {
  readonly version: number;
  /** The transaction that made this state; 0 when nothing was ever written. */
  readonly transactionId: number;
  readonly tables: AllTables;

  constructor(version: number, transactionId: number, tables: AllTables) {
    super();
    this.version = version;
    this.transactionId = transactionId;
    this.tables = tables;
  }

  /** Version 0: nothing was ever written. */
  static empty(): StoreState {
    const tables: Partial<Record<TableName, TableState<never>>> = {};
    for (const name of TABLE_NAMES) tables[name] = emptyTable(name);
    return new StoreState(0, 0, tables as AllTables);
  }

  get<Name extends TableName>(table: Name, id: string): Tables[Name] | undefined {
    return this.#table(table).objects.get(id);
  }

  all<Name extends TableName>(table: Name): Iterable<Tables[Name]> {
    return again(() => this.#table(table).objects.values());
  }

  count(table: TableName): number {
    return this.tables[table].objects.size;
  }

  tasksWithDesiredState(state: TaskState): Iterable<Task> {
    return this.members('task', 'desiredState', String(state));
  }

  byName<Name extends NamedTable>(table: Name, name: string): readonly Tables[Name][] {
    const key = name.toLowerCase();
    return this.#byNameFrom(table, key, (other) => other === key, Number.POSITIVE_INFINITY);
  }

  byNamePrefix<Name extends NamedTable>(table: Name, prefix: string, limit: number): readonly Tables[Name][] {
    const key = prefix.toLowerCase();
    return this.#byNameFrom(table, key, (other) => other.startsWith(key), limit);
  }

  find<Name extends TableName>(table: Name, index: UniqueIndex<Name>, key: string): Tables[Name] | undefined {
    const id = this.holder(table, index, key);
    return id === undefined ? undefined : this.get(table, id);
  }

  members<Name extends TableName>(table: Name, index: MultipleIndex<Name>, key: string): Iterable<Tables[Name]> {
    const ids = this.tables[table].multiple[index]?.get(key) ?? EMPTY_ID_SET;
    const { objects } = this.#table(table);
    return again(() => pick(objects, idSetValues(ids)));
  }

  byIdPrefix<Name extends TableName>(table: Name, prefix: string, limit: number): readonly Tables[Name][] {
    const found: Tables[Name][] = [];
    for (const object of this.#table(table).objects.values(prefix)) {
      if (found.length >= limit || !object.id.startsWith(prefix)) break;
      found.push(object);
    }
    return found;
  }

  /** The last id of the table in their order. */
  lastId(table: TableName): string | undefined {
    return this.#table(table).objects.lastKey();
  }

  cluster() {
    for (const cluster of this.tables.cluster.objects.values()) return cluster;
    return undefined;
  }

  /** The id that a key of a unique index belongs to. */
  holder(table: TableName, index: string, key: string): string | undefined {
    return this.tables[table].unique[index]?.get(key);
  }

  #table<Name extends TableName>(table: Name): TableState<Tables[Name]> {
    return this.tables[table];
  }

  #byNameFrom<Name extends NamedTable>(
    table: Name,
    from: string,
    matches: (key: string) => boolean,
    limit: number,
  ): readonly Tables[Name][] {
    const found: Tables[Name][] = [];
    const { objects, unique, multiple } = this.#table(table);
    for (const key of (unique['name'] ?? multiple['name'])?.keys(from) ?? []) {
      if (found.length >= limit || !matches(key)) break;
      const only = unique['name']?.get(key);
      for (const object of pick(objects, only === undefined ? idSetValues(multiple['name']?.get(key) ?? []) : [only]))
        if (found.length < limit) found.push(object);
    }
    return found;
  }
}

function emptyTable(name: TableName): TableState<never> {
  const { unique, multiple } = TABLES[name];
  return {
    objects: PersistentMap.empty(),
    unique: Object.fromEntries(Object.keys(unique).map((index) => [index, PersistentMap.empty<string>()])),
    multiple: Object.fromEntries(Object.keys(multiple).map((index) => [index, PersistentMap.empty<IdSet>()])),
  };
}

/** An iterable that can be gone through more than once. */
function again<T>(iterate: () => Iterator<T>): Iterable<T> {
  return { [Symbol.iterator]: iterate };
}

function* pick<T>(objects: PersistentMap<T>, ids: Iterable<string>): Generator<T, void> {
  for (const id of ids) {
    const object = objects.get(id);
    if (object !== undefined) yield object;
  }
}
