/**
 * A view with changes on top that nobody has committed: what one transaction of many decisions decides upon. Each
 * decision sees what those before it asked for.
 */
import { assert } from '#common/errors.ts';
import type { Cluster } from '#gen/swarm/v1/objects.ts';
import {
  type Change,
  definitionOf,
  Lookups,
  type MultipleIndex,
  type StoredObject,
  type StoreView,
  type TableName,
  type Tables,
  type UniqueIndex,
} from '#manager/store/index.ts';

/** What became of an object; undefined: it is removed. */
type Overlay = Map<string, StoredObject | undefined>;

export class StagedView extends Lookups implements StoreView {
  readonly version: number;
  readonly #base: StoreView;
  readonly #overlays = new Map<TableName, Overlay>();
  /** One change for each object, as the store takes them. */
  readonly #changes = new Map<string, Change>();

  constructor(base: StoreView) {
    super();
    this.#base = base;
    this.version = base.version;
  }

  /** All that was staged, in the order in which objects were first touched. */
  get changes(): readonly Change[] {
    return [...this.#changes.values()];
  }

  /** Takes the changes of a decision on top. An object keeps the version that it was read with. */
  stage(changes: readonly Change[]): void {
    for (const change of changes) this.#stage(change);
  }

  #stage(change: Change): void {
    const { kind, table, object } = change;
    const key = `${table}/${object.id}`;
    const before = this.#changes.get(key);
    let overlay = this.#overlays.get(table);
    if (overlay === undefined) {
      overlay = new Map();
      this.#overlays.set(table, overlay);
    }
    overlay.set(object.id, kind === 'remove' ? undefined : object);
    if (before?.kind === 'create' && kind === 'remove') this.#changes.delete(key);
    else if (before?.kind === 'create') this.#changes.set(key, { ...change, kind: 'create' });
    else {
      assert(before === undefined || kind !== 'create', 'an object is created once');
      this.#changes.set(key, change);
    }
  }

  get<Name extends TableName>(table: Name, id: string): Tables[Name] | undefined {
    const overlay = this.#overlays.get(table);
    if (overlay?.has(id) === true) return overlay.get(id) as Tables[Name] | undefined;
    return this.#base.get(table, id);
  }

  *all<Name extends TableName>(table: Name): Iterable<Tables[Name]> {
    const overlay = this.#overlays.get(table);
    for (const object of this.#base.all(table)) if (overlay?.has(object.id) !== true) yield object;
    yield* this.#staged(table);
  }

  *#staged<Name extends TableName>(table: Name): Iterable<Tables[Name]> {
    for (const object of this.#overlays.get(table)?.values() ?? [])
      if (object !== undefined) yield object as Tables[Name];
  }

  count(table: TableName): number {
    let count = this.#base.count(table);
    for (const [id, object] of this.#overlays.get(table) ?? []) {
      if (this.#base.get(table, id) !== undefined) count--;
      if (object !== undefined) count++;
    }
    return count;
  }

  find<Name extends TableName>(table: Name, index: UniqueIndex<Name>, key: string): Tables[Name] | undefined {
    const keyOf = definitionOf(table).unique[index];
    for (const object of this.#staged(table)) if (keyOf?.(object) === key) return object;
    const found = this.#base.find(table, index, key);
    return found === undefined || this.#overlays.get(table)?.has(found.id) === true ? undefined : found;
  }

  *members<Name extends TableName>(table: Name, index: MultipleIndex<Name>, key: string): Iterable<Tables[Name]> {
    const overlay = this.#overlays.get(table);
    for (const object of this.#base.members(table, index, key)) if (overlay?.has(object.id) !== true) yield object;
    const keyOf = definitionOf(table).multiple[index];
    for (const object of this.#staged(table)) if (keyOf?.(object) === key) yield object;
  }

  byIdPrefix<Name extends TableName>(table: Name, prefix: string, limit: number): readonly Tables[Name][] {
    const overlay = this.#overlays.get(table);
    const found = this.#base.byIdPrefix(table, prefix, limit).filter(({ id }) => overlay?.has(id) !== true);
    for (const object of this.#staged(table)) if (object.id.startsWith(prefix)) found.push(object);
    return found.slice(0, limit);
  }

  cluster(): Cluster | undefined {
    for (const cluster of this.all('cluster')) return cluster;
    return undefined;
  }
}
