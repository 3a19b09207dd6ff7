import { assert } from '#common/errors.ts';
import { type StoreAction, StoreActionKind, StoreTransaction } from '#gen/swarm/v1/store.ts';
import { Editor } from './editor.ts';
import { newerContent } from './refusals.ts';
import type { StoreState } from './state.ts';
import type { StoredObject, TableName } from './stored-objects.ts';
import type { CommitEvents, StoreEvent } from './types.ts';

export type Applied =
  | { readonly kind: 'applied'; readonly next: StoreState; readonly commit: CommitEvents }
  /** It was built upon a state that never came to be: every member skips it alike. */
  | { readonly kind: 'skipped'; readonly version: number };

/**
 * Applies one entry of the log. Deterministic: everything that the result depends on is in the state and the bytes.
 * Throws when the entry cannot be applied as it was meant, after which this member must stop.
 */
export function applyTransaction(state: StoreState, data: Uint8Array): Applied {
  const { actions, timeMs, version, id, baseId } = StoreTransaction.decode(data);
  if (baseId !== state.transactionId || version !== state.version + 1) return { kind: 'skipped', version };
  const editor = new Editor(state);
  const events = applyActions(editor, actions);
  return { kind: 'applied', next: editor.finish(version, id), commit: { version, timeMs, events } };
}

export function applyActions(editor: Editor, actions: readonly StoreAction[]): readonly StoreEvent[] {
  return actions.map((action) => applyAction(editor, action));
}

function applyAction(editor: Editor, action: StoreAction): StoreEvent {
  const choice = action.object?.object;
  if (choice === undefined) throw newerContent('a kind of object');
  const { kind: table, value: object } = choice as { kind: TableName; value: StoredObject };
  const old = editor.get(table, object.id);
  switch (action.kind) {
    case StoreActionKind.CREATE:
      assert(old === undefined, `the log creates ${table} ${object.id}, which exists`);
      editor.put(table, object);
      return { kind: 'create', table, object } as StoreEvent;
    case StoreActionKind.UPDATE:
      assert(old !== undefined, `the log updates ${table} ${object.id}, which does not exist`);
      editor.put(table, object);
      return { kind: 'update', table, object, old } as StoreEvent;
    case StoreActionKind.REMOVE:
      assert(old !== undefined, `the log removes ${table} ${object.id}, which does not exist`);
      editor.remove(table, object.id);
      return { kind: 'remove', table, object: old, old } as StoreEvent;
    case StoreActionKind.UNSPECIFIED:
    default:
      throw newerContent('a kind of change');
  }
}
