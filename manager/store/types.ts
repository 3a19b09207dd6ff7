/**
 * What the rest of the manager sees of the store: immutable views, events, changes. Pure.
 */
import type { Cluster, Revision, Service, Task, TaskState } from '#gen/swarm/v1/objects.ts';
import type { NamedTable, TableName, Tables } from './stored-objects.ts';
import type { MultipleIndex, UniqueIndex } from './tables.ts';

/**
 * A change that deciding code asks for. `object.version` is the version that was read (0 for a creation): a write in
 * between makes the change a conflict. The store sets version and times; ids are chosen by the proposer.
 */
export type Change = { readonly [Name in TableName]: ChangeOf<Name> }[TableName];
export type ChangeOf<Name extends TableName> = {
  readonly kind: 'create' | 'update' | 'remove';
  readonly table: Name;
  readonly object: Tables[Name];
};

/** What happened, in commit order. `old` is present on update and remove. */
export type StoreEvent = { readonly [Name in TableName]: EventOf<Name> }[TableName];
export type EventOf<Name extends TableName> =
  | { readonly kind: 'create'; readonly table: Name; readonly object: Tables[Name]; readonly old?: undefined }
  | {
      readonly kind: 'update' | 'remove';
      readonly table: Name;
      readonly object: Tables[Name];
      readonly old: Tables[Name];
    };

/** All events of one commit. */
export interface CommitEvents {
  readonly version: number;
  /** The proposer's clock. */
  readonly timeMs: number;
  readonly events: readonly StoreEvent[];
}

/** The state of all tables at one version. Never changes; cheap to take and to keep. */
export interface StoreView {
  readonly version: number;
  get<Name extends TableName>(table: Name, id: string): Tables[Name] | undefined;
  /** All objects of a table, in no promised order. */
  all<Name extends TableName>(table: Name): Iterable<Tables[Name]>;
  count(table: TableName): number;
  tasksOfService(serviceId: string): Iterable<Task>;
  /** Tasks of one slot of a replicated service. */
  tasksOfSlot(serviceId: string, slot: number): Iterable<Task>;
  tasksOfNode(nodeId: string): Iterable<Task>;
  revisionsOfService(serviceId: string): Iterable<Revision>;
  revision(serviceId: string, number: number): Revision | undefined;
  /** Names are compared without regard to case. */
  serviceByName(name: string): Service | undefined;
  /** The container of `swarm run` with that name, without regard to case. */
  oneOffByName(name: string): Task | undefined;
  /** The object that has the key in a unique index of its table (`tables.ts`). */
  find<Name extends TableName>(table: Name, index: UniqueIndex<Name>, key: string): Tables[Name] | undefined;
  /** The objects that have the key in another index of their table, in no promised order. */
  members<Name extends TableName>(table: Name, index: MultipleIndex<Name>, key: string): Iterable<Tables[Name]>;
  /** Objects whose id begins with the prefix, at most `limit` of them. */
  byIdPrefix<Name extends TableName>(table: Name, prefix: string, limit: number): readonly Tables[Name][];
  /** The one cluster object; undefined before the swarm is initialised. */
  cluster(): Cluster | undefined;
}

/** What the store's own views can find besides. */
export interface IndexedStoreView extends StoreView {
  tasksWithDesiredState(state: TaskState): Iterable<Task>;
  /** Objects of that name, without regard to case: at most one service, any number of nodes. */
  byName<Name extends NamedTable>(table: Name, name: string): readonly Tables[Name][];
  /** Objects whose name begins with the prefix, in the order of their names, at most `limit` of them. */
  byNamePrefix<Name extends NamedTable>(table: Name, prefix: string, limit: number): readonly Tables[Name][];
}

/** The contract of everything that decides (rule 4 of the design). Law: restoring equals replaying the events. */
export interface Loop {
  readonly name: string;
  /** Forgets everything and rebuilds its caches from the view. */
  restore(view: StoreView): void;
  /** Takes note of what happened; the view that plan gets includes it. */
  observe(event: StoreEvent): void;
  /** Decides. Called after events, at `wakeAt`, and again after its changes were refused by a conflict. */
  plan(view: StoreView, nowMs: number): Plan;
}

export interface Plan {
  /** Independent groups: each is committed whole or refused whole. */
  readonly changes: readonly ChangeGroup[];
  /** Wall clock at which to plan again though nothing happens; undefined for never. */
  readonly wakeAtMs: number | undefined;
  /** More work is waiting: the loop stopped to keep its slice short. */
  readonly more?: boolean | undefined;
}

export type ChangeGroup = readonly Change[];
