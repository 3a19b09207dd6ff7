/** What a transaction means to people: the one function that derives events from the changes of the store. */
import { type Author, readAuthor, SWARM_AUTHOR } from '#common/author.ts';
import { Event, EventActor } from '#gen/swarm/v1/objects.ts';
import type { CommitEvents, StoreEvent, StoreView } from '#manager/store/index.ts';
import { ACTOR_KINDS } from '#proto/event-actor-kinds.ts';
import { describeClient } from './describe-client.ts';
import { describeCluster } from './describe-cluster.ts';
import { describeDeclared } from './describe-declared.ts';
import { describeNode } from './describe-node.ts';
import { describeRollout } from './describe-rollout.ts';
import { eventId } from './event-id.ts';
import type { EventDraft } from './event-types.ts';
import { bounded } from './texts.ts';

export interface EventSource {
  readonly commit: CommitEvents;
  /** As `common/author.ts` writes it. */
  readonly author: string;
  /** The state that the transaction was made upon. */
  readonly before: StoreView;
  /** The version before that has events; 0: there is none. */
  readonly previousVersion: number;
}

/** In UTF-16 units, of three bytes at most: an event stays below `LIMITS.EVENT_BYTES`. */
const NAME_LENGTH_MAX = 64;
const MESSAGE_LENGTH_MAX = 240;
const PEER_LENGTH_MAX = 64;

/**
 * The events of one transaction, in the order of its changes: the same everywhere, from the changes alone. Tables that
 * no event is about cost one look each.
 */
export function eventsOf(source: EventSource): readonly Event[] {
  const { commit, before, previousVersion } = source;
  let author: Author | undefined;
  const events: Event[] = [];
  for (const change of commit.events) {
    if (SILENT.has(change.table)) continue;
    author ??= readAuthor(source.author) ?? SWARM_AUTHOR;
    for (const { type, action, subject, message, attributes } of describe(change, author, before))
      events.push(
        Event.create({
          id: eventId({ version: commit.version, position: events.length, previousVersion }),
          type,
          action,
          subjectId: subject.id,
          subjectName: bounded(subject.name, NAME_LENGTH_MAX),
          actor: actorOf(author, before),
          message: bounded(message, MESSAGE_LENGTH_MAX),
          attributes: withoutEmpty(attributes),
        }),
      );
  }
  return events;
}

/** What is no event: tasks change with every container, versions go with what they are of. */
const SILENT: ReadonlySet<StoreEvent['table']> = new Set([
  'task',
  'revision',
  'secretVersion',
  'configVersion',
  'event',
]);

function describe(change: StoreEvent, author: Author, before: StoreView): readonly EventDraft[] {
  switch (change.table) {
    case 'cluster':
      return describeCluster(change, before);
    case 'node':
      return describeNode(change, author);
    case 'client':
      return describeClient(change);
    case 'service':
      return [...describeDeclared(change, change.table), ...describeRollout(change)];
    case 'network':
    case 'secret':
    case 'config':
    case 'volume':
    case 'stack':
      return describeDeclared(change, change.table);
    case 'task':
    case 'revision':
    case 'secretVersion':
    case 'configVersion':
    case 'event':
      return [];
  }
}

function actorOf(author: Author, view: StoreView): EventActor {
  const { id } = author;
  const name = author.name || (view.get('node', id)?.description?.hostname ?? view.get('client', id)?.name ?? '');
  return EventActor.create({
    kind: ACTOR_KINDS[author.kind],
    id,
    name: bounded(name, NAME_LENGTH_MAX),
    peer: bounded(author.peer, PEER_LENGTH_MAX),
  });
}

function withoutEmpty(attributes: Readonly<Record<string, string>> = {}): Readonly<Record<string, string>> {
  return Object.fromEntries(Object.entries(attributes).filter(([, value]) => value !== ''));
}
