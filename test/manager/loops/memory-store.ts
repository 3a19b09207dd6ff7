/** A store for the tests of the leader loops: mutable maps behind the view's interface, with versions and events. */
import type { Cluster, Revision, Service, Task } from '#gen/swarm/v1/objects.ts';
import {
  type Change,
  type ChangeGroup,
  definitionOf,
  type Loop,
  type MultipleIndex,
  type StoredObject,
  type StoreEvent,
  type StoreView,
  TABLE_NAMES,
  type TableName,
  type Tables,
  type UniqueIndex,
} from '#manager/store/index.ts';

type TableMaps = { readonly [Name in TableName]: Map<string, Tables[Name]> };

export class MemoryStore implements StoreView {
  version = 0;
  readonly #tables: TableMaps = emptyTables();
  readonly #byService = new Map<string, Set<string>>();
  readonly #bySlot = new Map<string, Set<string>>();
  readonly #byNode = new Map<string, Set<string>>();

  get<Name extends TableName>(table: Name, id: string): Tables[Name] | undefined {
    return this.#table(table).get(id);
  }

  all<Name extends TableName>(table: Name): Iterable<Tables[Name]> {
    return this.#table(table).values();
  }

  count(table: TableName): number {
    return this.#table(table).size;
  }

  tasksOfService(serviceId: string): Iterable<Task> {
    return this.#tasks(this.#byService.get(serviceId));
  }

  tasksOfSlot(serviceId: string, slot: number): Iterable<Task> {
    return this.#tasks(this.#bySlot.get(`${serviceId}/${slot}`));
  }

  tasksOfNode(nodeId: string): Iterable<Task> {
    return this.#tasks(this.#byNode.get(nodeId));
  }

  revisionsOfService(serviceId: string): Iterable<Revision> {
    return [...this.#tables.revision.values()].filter((revision) => revision.serviceId === serviceId);
  }

  revision(serviceId: string, number: number): Revision | undefined {
    for (const revision of this.#tables.revision.values())
      if (revision.serviceId === serviceId && revision.number === number) return revision;
    return undefined;
  }

  serviceByName(name: string): Service | undefined {
    for (const service of this.#tables.service.values()) if (service.spec?.name === name) return service;
    return undefined;
  }

  oneOffByName(name: string): Task | undefined {
    return [...this.#tables.task.values()].find((task) => task.oneOff?.name === name);
  }

  find<Name extends TableName>(table: Name, index: UniqueIndex<Name>, key: string): Tables[Name] | undefined {
    const keyOf = definitionOf(table).unique[index];
    for (const object of this.all(table)) if (keyOf?.(object) === key) return object;
    return undefined;
  }
  members<Name extends TableName>(table: Name, index: MultipleIndex<Name>, key: string): Iterable<Tables[Name]> {
    const keyOf = definitionOf(table).multiple[index];
    return [...this.all(table)].filter((object) => keyOf?.(object) === key);
  }
  byIdPrefix<Name extends TableName>(table: Name, prefix: string, limit: number): readonly Tables[Name][] {
    return [...this.all(table)].filter((object) => object.id.startsWith(prefix)).slice(0, limit);
  }

  cluster(): Cluster | undefined {
    return [...this.#tables.cluster.values()][0];
  }

  /** Whether every change names the version that is stored. */
  accepts(changes: readonly Change[]): boolean {
    return changes.every(
      (change) => (this.get(change.table, change.object.id)?.version ?? 0) === change.object.version,
    );
  }

  /** Commits all of them, or nothing and gives undefined. */
  commit(changes: readonly Change[], nowMs: number): readonly StoreEvent[] | undefined {
    if (!this.accepts(changes)) return undefined;
    this.version++;
    return changes.map((change) => this.#write(change, nowMs));
  }

  #write(change: Change, nowMs: number): StoreEvent {
    const table = this.#table(change.table) as Map<string, StoredObject>;
    const old = table.get(change.object.id);
    if (old !== undefined && change.table === 'task') this.#unlink(old as Task);
    if (change.kind === 'remove') {
      table.delete(change.object.id);
      return { kind: 'remove', table: change.table, object: old, old } as StoreEvent;
    }
    const createdAtMs = old === undefined ? nowMs : old.createdAtMs;
    const object = { ...change.object, version: this.version, createdAtMs, updatedAtMs: nowMs };
    table.set(object.id, object);
    if (change.table === 'task') this.#link(object as Task);
    return { kind: old === undefined ? 'create' : 'update', table: change.table, object, old } as StoreEvent;
  }

  #table<Name extends TableName>(table: Name): Map<string, Tables[Name]> {
    return this.#tables[table];
  }

  #tasks(ids: Iterable<string> | undefined): Task[] {
    const tasks: Task[] = [];
    for (const id of ids ?? []) {
      const task = this.#tables.task.get(id);
      if (task !== undefined) tasks.push(task);
    }
    return tasks;
  }

  #link(task: Task): void {
    add(this.#byService, task.serviceId, task.id);
    add(this.#bySlot, `${task.serviceId}/${task.slot}`, task.id);
    if (task.nodeId !== '') add(this.#byNode, task.nodeId, task.id);
  }

  #unlink(task: Task): void {
    this.#byService.get(task.serviceId)?.delete(task.id);
    this.#bySlot.get(`${task.serviceId}/${task.slot}`)?.delete(task.id);
    this.#byNode.get(task.nodeId)?.delete(task.id);
  }
}

function add(index: Map<string, Set<string>>, key: string, id: string): void {
  const ids = index.get(key);
  if (ids === undefined) index.set(key, new Set([id]));
  else ids.add(id);
}

/** Commits the groups one by one and tells every loop; gives the number of groups that were refused. */
export function commitGroups(
  store: MemoryStore,
  loops: readonly Loop[],
  groups: readonly ChangeGroup[],
  nowMs: number,
): number {
  let refused = 0;
  for (const group of groups) {
    const events = store.commit(group, nowMs);
    if (events === undefined) refused++;
    else for (const event of events) for (const loop of loops) loop.observe(event);
  }
  return refused;
}

/** Lets one loop plan and commit until it has nothing more to say at that time. */
export function drain(store: MemoryStore, loop: Loop, loops: readonly Loop[], nowMs: number): number {
  let changes = 0;
  for (let round = 0; round < 10_000; round++) {
    const plan = loop.plan(store, nowMs);
    if (plan.changes.length === 0 && plan.more !== true) return changes;
    changes += plan.changes.length;
    commitGroups(store, loops, plan.changes, nowMs);
  }
  throw new Error(`${loop.name} does not come to rest`);
}

function emptyTables(): TableMaps {
  return Object.fromEntries(TABLE_NAMES.map((name) => [name, new Map()])) as Record<TableName, Map<string, never>>;
}
