import { SwarmError } from '#common/errors.ts';
import { LIMITS } from '#common/limits.ts';
import { type StoreAction, StoreActionKind, StoreTransaction } from '#gen/swarm/v1/store.ts';
import { applyActions } from './apply.ts';
import { concatenated } from './bytes.ts';
import { Editor } from './editor.ts';
import {
  badId,
  createdWithVersion,
  duplicateId,
  duplicateKey,
  outOfSequence,
  tooManyChanges,
  transactionTooLarge,
  unknownObject,
} from './refusals.ts';
import type { StoreState } from './state.ts';
import type { StoredObject, TableName } from './stored-objects.ts';
import { definitionOf, objectOfTable, TABLES } from './tables.ts';
import type { Change, ChangeGroup, CommitEvents, StoreEvent } from './types.ts';

const ID = /^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$/;

export interface TransactionInit {
  /** Unique among all transactions, not 0. */
  readonly id: number;
  /** The proposer's clock. */
  readonly timeMs: number;
  /** On whose behalf it is made: `common/author.ts`. */
  readonly author: string;
  /** What it writes about itself. */
  readonly recorder?: Recorder | undefined;
}

/**
 * What belongs into the same transaction beside what was asked for: it comes on top of the limits of changes. Pure; called
 * once, when the transaction is whole. Its changes are of objects that nobody else writes.
 */
export type Recorder = (commit: CommitEvents, author: string, before: StoreState) => readonly Change[];

/** A transaction that can be proposed, and what it will make of the state it was built upon. */
export interface Prepared {
  readonly data: Uint8Array;
  readonly base: StoreState;
  readonly next: StoreState;
  readonly commit: CommitEvents;
}

export type Added =
  | { readonly kind: 'added' }
  /** The group breaks a rule; nothing of it was taken. */
  | { readonly kind: 'refused'; readonly error: SwarmError }
  /** The group is fine but has no room in this transaction; nothing of it was taken. */
  | { readonly kind: 'full' };

/**
 * Packs groups of changes into one transaction upon a state. Each group is taken whole or not at all. What is stored
 * is decoded from the very bytes that are proposed, so that the proposer's state equals every other member's.
 */
export class TransactionBuilder {
  readonly #base: StoreState;
  readonly #id: number;
  readonly #version: number;
  readonly #timeMs: number;
  readonly #author: string;
  readonly #recorder: Recorder | undefined;
  readonly #editor: Editor;
  readonly #parts: Uint8Array[];
  readonly #events: StoreEvent[] = [];
  #bytes: number;

  constructor(base: StoreState, { id, timeMs, author, recorder }: TransactionInit) {
    this.#id = id;
    this.#author = author;
    this.#recorder = recorder;
    this.#base = base;
    this.#version = base.version + 1;
    this.#timeMs = timeMs;
    this.#editor = new Editor(base);
    const head = StoreTransaction.encode(
      StoreTransaction.create({ timeMs, author, version: this.#version, id, baseId: base.transactionId }),
    );
    this.#parts = [head];
    this.#bytes = head.length;
  }

  get isEmpty(): boolean {
    return this.#events.length === 0;
  }

  add(group: ChangeGroup): Added {
    if (group.length > LIMITS.CHANGES_PER_TRANSACTION) return { kind: 'refused', error: tooManyChanges(group.length) };
    if (this.#events.length + group.length > LIMITS.CHANGES_PER_TRANSACTION) return { kind: 'full' };
    const error = new GroupCheck(this.#editor, this.#version).firstError(group);
    if (error !== undefined) return { kind: 'refused', error };
    const part = this.#encoded(group);
    if (part instanceof SwarmError) return { kind: 'refused', error: part };
    if (this.#bytes + part.length > LIMITS.TRANSACTION_BYTES)
      return this.isEmpty ? { kind: 'refused', error: transactionTooLarge(part.length) } : { kind: 'full' };
    this.#events.push(...applyActions(this.#editor, StoreTransaction.decode(part).actions));
    this.#parts.push(part);
    this.#bytes += part.length;
    return { kind: 'added' };
  }

  finish(): Prepared {
    this.#addRecords();
    const next = this.#editor.finish(this.#version, this.#id);
    const commit = { version: this.#version, timeMs: this.#timeMs, events: this.#events };
    return { data: concatenated(this.#parts), base: this.#base, next, commit };
  }

  #addRecords(): void {
    const commit = { version: this.#version, timeMs: this.#timeMs, events: this.#events };
    const records = this.#recorder?.(commit, this.#author, this.#base) ?? [];
    if (records.length === 0) return;
    const part = this.#encoded(records);
    if (part instanceof SwarmError) throw part;
    this.#events.push(...applyActions(this.#editor, StoreTransaction.decode(part).actions));
    this.#parts.push(part);
  }

  /**
   * The group's part of the transaction. The wire format joins lists by concatenation, so every group is encoded by
   * itself and only once.
   */
  #encoded(group: ChangeGroup): Uint8Array | SwarmError {
    const actions = group.map((change) => this.#action(change));
    try {
      return StoreTransaction.encode(StoreTransaction.create({ actions }));
    } catch (thrown) {
      return SwarmError.from(thrown);
    }
  }

  /** The change as it stands in the log: with the version and times that the stored object will have. */
  #action(change: Change): StoreAction {
    const { kind, table, object } = change;
    const old = kind === 'create' ? undefined : this.#editor.get(table, object.id);
    const value =
      kind === 'remove'
        ? TABLES[table].create({ id: object.id })
        : {
            ...object,
            version: this.#version,
            createdAtMs: old?.createdAtMs ?? this.#timeMs,
            updatedAtMs: this.#timeMs,
          };
    return { kind: ACTION_KINDS[kind], object: { object: objectOfTable(table, value) } };
  }
}

const ACTION_KINDS = {
  create: StoreActionKind.CREATE,
  update: StoreActionKind.UPDATE,
  remove: StoreActionKind.REMOVE,
} as const;

/** Checks a group against the state that will hold when it is applied, without touching it. */
class GroupCheck {
  readonly #editor: Editor;
  /** The version that the transaction makes. */
  readonly #version: number;
  /** Keys that changes before, in the same group, took (their new holder) or gave up (undefined). */
  readonly #keys = new Map<string, string | undefined>();
  readonly #seen = new Set<string>();

  constructor(editor: Editor, version: number) {
    this.#editor = editor;
    this.#version = version;
  }

  firstError(group: ChangeGroup): SwarmError | undefined {
    for (const change of group) {
      const error = this.#error(change);
      if (error !== undefined) return error;
    }
    return undefined;
  }

  #error({ kind, table, object }: Change): SwarmError | undefined {
    if (!ID.test(object.id)) return badId(table, object.id);
    const current = this.#editor.get(table, object.id);
    if (kind === 'create') {
      if (current !== undefined) return duplicateId(table, object.id);
      if (object.version !== 0) return createdWithVersion(table, object);
    } else {
      if (current === undefined) return unknownObject(table, object.id);
      if (current.version !== object.version) return outOfSequence(table, object.id, object.version, current.version);
    }
    // A second change of the same object would have to name a version that nobody has read.
    const name = `${table}/${object.id}`;
    if (this.#seen.has(name)) return outOfSequence(table, object.id, object.version, this.#version);
    this.#seen.add(name);
    return this.#keyError(table, current, kind === 'remove' ? undefined : object);
  }

  #keyError(table: TableName, old: StoredObject | undefined, object: StoredObject | undefined): SwarmError | undefined {
    const { unique } = definitionOf(table);
    for (const index in unique) {
      const keyOf = unique[index] as (object: StoredObject) => string | undefined;
      const before = old === undefined ? undefined : keyOf(old);
      const after = object === undefined ? undefined : keyOf(object);
      if (before === after) continue;
      if (before !== undefined) this.#keys.set(`${table}/${index}/${before}`, undefined);
      if (after === undefined || object === undefined) continue;
      const name = `${table}/${index}/${after}`;
      const holder = this.#keys.has(name) ? this.#keys.get(name) : this.#editor.holder(table, index, after);
      if (holder !== undefined && holder !== object.id) return duplicateKey(table, index, after, holder);
      this.#keys.set(name, object.id);
    }
    return undefined;
  }
}
