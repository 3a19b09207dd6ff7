import { EMPTY_ID_SET, type IdSet, idSetSize, idSetWith, idSetWithout } from './id-set.ts';
import type { Owner, PersistentMap } from './persistent-map.ts';
import { StoreState, type TableState } from './state.ts';
import type { TableName, Tables } from './stored-objects.ts';
import { definitionOf, type TableDefinition } from './tables.ts';

interface Draft<T> {
  objects: PersistentMap<T>;
  readonly unique: Record<string, PersistentMap<string>>;
  readonly multiple: Record<string, PersistentMap<IdSet>>;
}

type Drafts = { [Name in TableName]?: Draft<Tables[Name]> };

/**
 * Makes one state from another by any number of changes, keeping the indexes in step. It does not judge: versions,
 * times and names are the caller's concern. Not used again after `finish`.
 */
export class Editor {
  readonly #base: StoreState;
  /** Makes the nodes of the maps editable in place for as long as this editor is in use. */
  readonly #owner: Owner = {};
  /** Tables that were changed, or are about to be. */
  readonly #drafts: Drafts = {};

  constructor(base: StoreState) {
    this.#base = base;
  }

  get<Name extends TableName>(table: Name, id: string): Tables[Name] | undefined {
    return this.#table(table).objects.get(id);
  }

  /** The id that a key of a unique index belongs to. */
  holder(table: TableName, index: string, key: string): string | undefined {
    return this.#table(table).unique[index]?.get(key);
  }

  /** Creates the object, or replaces the one with its id. */
  put<Name extends TableName>(table: Name, object: Tables[Name]): void {
    const draft = this.#draft(table);
    const old = draft.objects.get(object.id);
    draft.objects = draft.objects.with(object.id, object, this.#owner);
    this.#reindex(table, draft, object.id, old, object);
  }

  remove(table: TableName, id: string): void {
    const draft = this.#draft(table);
    const old = draft.objects.get(id);
    if (old === undefined) return;
    draft.objects = draft.objects.without(id, this.#owner);
    this.#reindex(table, draft, id, old, undefined);
  }

  finish(version: number, transactionId: number): StoreState {
    return new StoreState(version, transactionId, { ...this.#base.tables, ...this.#drafts });
  }

  #table<Name extends TableName>(table: Name): TableState<Tables[Name]> {
    return this.#drafts[table] ?? this.#base.tables[table];
  }

  #draft<Name extends TableName>(table: Name): Draft<Tables[Name]> {
    const known: Draft<Tables[Name]> | undefined = this.#drafts[table];
    if (known !== undefined) return known;
    const { objects, unique, multiple } = this.#table(table);
    const draft: Draft<Tables[Name]> = { objects, unique: { ...unique }, multiple: { ...multiple } };
    // To write by a name that is not known here, the compiler wants a draft of every table at once.
    this.#drafts[table] = draft as Drafts[Name];
    return draft;
  }

  #reindex<Name extends TableName>(
    table: Name,
    draft: Draft<Tables[Name]>,
    id: string,
    old: Tables[Name] | undefined,
    object: Tables[Name] | undefined,
  ): void {
    const definition: TableDefinition<Tables[Name]> = definitionOf(table);
    for (const index in definition.multiple) {
      const before = old === undefined ? undefined : definition.multiple[index]?.(old);
      const after = object === undefined ? undefined : definition.multiple[index]?.(object);
      if (before !== after) this.#moveMember(draft, index, id, before, after);
    }
    for (const index in definition.unique) {
      const before = old === undefined ? undefined : definition.unique[index]?.(old);
      const after = object === undefined ? undefined : definition.unique[index]?.(object);
      if (before !== after) this.#moveKey(draft, index, id, before, after);
    }
  }

  #moveMember(
    draft: Draft<unknown>,
    index: string,
    id: string,
    before: string | undefined,
    after: string | undefined,
  ): void {
    let keys = draft.multiple[index] as PersistentMap<IdSet>;
    if (before !== undefined) {
      const rest = idSetWithout(keys.get(before) ?? EMPTY_ID_SET, id, this.#owner);
      keys = idSetSize(rest) === 0 ? keys.without(before, this.#owner) : keys.with(before, rest, this.#owner);
    }
    if (after !== undefined)
      keys = keys.with(after, idSetWith(keys.get(after) ?? EMPTY_ID_SET, id, this.#owner), this.#owner);
    draft.multiple[index] = keys;
  }

  #moveKey(
    draft: Draft<unknown>,
    index: string,
    id: string,
    before: string | undefined,
    after: string | undefined,
  ): void {
    let keys = draft.unique[index] as PersistentMap<string>;
    // Within one transaction the key may already have gone to another object.
    if (before !== undefined && keys.get(before) === id) keys = keys.without(before, this.#owner);
    if (after !== undefined) keys = keys.with(after, id, this.#owner);
    draft.unique[index] = keys;
  }
}
