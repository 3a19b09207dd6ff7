import { SwarmError } from '#common/errors.ts';
import {
  type Change,
  Editor,
  type IndexedStoreView,
  outOfSequence,
  type StoreState,
  type TableName,
  type Tables,
  unknownObject,
} from '#manager/store/index.ts';

/**
 * What the callback of `ReplicatedStore.update` reads and writes: the newest state, including changes that are still
 * on their way to the disk, and its own writes.
 */
export class Transaction {
  readonly #base: StoreState;
  #state: StoreState;
  /** By table and id, in the order of the first write: what the transaction amounts to. */
  readonly #changes = new Map<string, Change>();

  constructor(base: StoreState) {
    this.#base = base;
    this.#state = base;
  }

  /** What was written so far, each object once. */
  changes(): readonly Change[] {
    return [...this.#changes.values()];
  }

  /**
   * Everything as it is now, own writes included; it stays as it is while more is written. Objects written here keep
   * the version that was read until the commit.
   */
  get view(): IndexedStoreView {
    return this.#state;
  }

  /** The object must be new, with version 0. Duplicates of names are found at the end. */
  create<Name extends TableName>(table: Name, object: Tables[Name]): void {
    const name = `${table}/${object.id}`;
    if (this.#state.get(table, object.id) !== undefined || this.#changes.has(name))
      throw new SwarmError({
        code: 'exists',
        reason: 'duplicate-name',
        field: 'id',
        message: `a ${table} with id ${object.id} already exists`,
        hint: 'create it with a new id',
      });
    this.#record(name, { kind: 'create', table, object } as Change);
  }

  /** Throws `unknown-object`, and `out-of-sequence` when the object's version is not the current one. */
  update<Name extends TableName>(table: Name, object: Tables[Name]): void {
    const name = `${table}/${object.id}`;
    this.#checkVersion(table, object.id, object.version);
    const kind = this.#changes.get(name)?.kind === 'create' ? 'create' : 'update';
    this.#record(name, { kind, table, object } as Change);
  }

  /** Throws `unknown-object`, and `out-of-sequence` when a version is given that is not the current one. */
  remove<Name extends TableName>(table: Name, id: string, version?: number): void {
    const name = `${table}/${id}`;
    const current = this.#checkVersion(table, id, version);
    if (this.#changes.get(name)?.kind === 'create') {
      this.#changes.delete(name);
      this.#edit((editor) => editor.remove(table, id));
    } else this.#record(name, { kind: 'remove', table, object: current } as Change);
  }

  #checkVersion<Name extends TableName>(table: Name, id: string, version: number | undefined): Tables[Name] {
    const current = this.#state.get(table, id);
    if (current === undefined) throw unknownObject(table, id);
    if (version !== undefined && version !== current.version) throw outOfSequence(table, id, version, current.version);
    return current;
  }

  #record(name: string, change: Change): void {
    this.#changes.set(name, change);
    this.#edit((editor) => {
      if (change.kind === 'remove') editor.remove(change.table, change.object.id);
      else editor.put(change.table, change.object);
    });
  }

  #edit(act: (editor: Editor) => void): void {
    const editor = new Editor(this.#state);
    act(editor);
    this.#state = editor.finish(this.#base.version, this.#base.transactionId);
  }
}
