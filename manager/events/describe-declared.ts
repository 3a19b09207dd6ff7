/** What changes of declared objects mean: created, declared otherwise, removed. What loops write beside is no event. */
import { StackState } from '#gen/swarm/v1/objects.ts';
import type { EventOf } from '#manager/store/index.ts';
import type { EventDraft, EventSubject, EventType } from './event-types.ts';
import { called, changedFields, listed } from './texts.ts';

/** Tables whose objects somebody declares. */
export type DeclaredTable = 'service' | 'network' | 'secret' | 'config' | 'volume' | 'stack';
type DeclaredType = Extract<EventType, DeclaredTable>;

interface Kind<Table extends DeclaredTable> {
  /** What its removal, as far as it was asked for, is seen by; absent where it goes at once. */
  readonly isLeaving?: (object: EventOf<Table>['object']) => boolean;
  /** What is declared beside the spec. */
  readonly more?: (object: EventOf<Table>['object']) => object;
  readonly attributes?: (object: EventOf<Table>['object']) => Readonly<Record<string, string>>;
}

const versions = ({ versions: all }: EventOf<'secret' | 'config'>['object']): number => all.at(-1)?.number ?? 0;
const payload: Kind<'secret' | 'config'> = {
  more: (object) => ({ version: versions(object) }),
  attributes: (object) => ({ version: String(versions(object)) }),
};

const KINDS: { readonly [Table in DeclaredTable]: Kind<Table> } = {
  service: {
    isLeaving: (service) => service.pendingDelete,
    attributes: (service) => ({ revision: String(service.revision) }),
  },
  network: {},
  secret: payload,
  config: payload,
  volume: { isLeaving: (volume) => volume.pendingDelete, attributes: (volume) => ({ node: volume.nodeId }) },
  stack: { isLeaving: (stack) => stack.state === StackState.REMOVING },
};

export function describeDeclared(event: EventOf<DeclaredTable>, table: DeclaredTable): readonly EventDraft[] {
  // The table says which kind the object is of; the compiler cannot follow a name through both.
  const kind = KINDS[table] as Kind<DeclaredTable>;
  const { object } = event;
  const subject = { id: object.id, name: object.spec?.name ?? '' };
  const isLeaving = kind.isLeaving ?? (() => false);
  const attributes = kind.attributes?.(object) ?? {};
  const draft = (action: DeclaredAction, message: string, more: Readonly<Record<string, string>> = {}): EventDraft =>
    declaredDraft(table, action, subject, `${table} ${called(subject)} ${message}`, { ...attributes, ...more });
  switch (event.kind) {
    case 'create':
      return [draft('create', 'was created')];
    case 'remove':
      return isLeaving(event.old) ? [draft('gone', 'is gone')] : [draft('remove', 'was removed')];
    case 'update': {
      const drafts: EventDraft[] = [];
      const fields = changedFields(declaredOf(kind, event.old), declaredOf(kind, object));
      if (fields.length > 0) drafts.push(draft('update', `was updated: ${listed(fields)}`, { fields: listed(fields) }));
      if (isLeaving(object) && !isLeaving(event.old)) drafts.push(draft('remove', 'is to be removed'));
      return drafts;
    }
  }
}

type DeclaredAction = 'create' | 'update' | 'remove' | 'gone';

function declaredOf(kind: Kind<DeclaredTable>, object: EventOf<DeclaredTable>['object']): object {
  return { ...kind.more?.(object), ...object.spec };
}

function declaredDraft(
  type: DeclaredType,
  action: DeclaredAction,
  subject: EventSubject,
  message: string,
  attributes: Readonly<Record<string, string>>,
): EventDraft {
  // Only kinds that leave in two steps can be gone, and those have the action.
  return { type, action, subject, message, attributes } as EventDraft;
}
