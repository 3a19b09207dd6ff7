/** Events in Docker's shape: what Docker calls the actor is what it happened to; who did it is ours. */
import { describeAuthor, writeAuthor } from '#common/author.ts';
import { INT, STRING, STRING_MAP, type StructData, struct, UINT } from '#common/template/go-types.ts';
import type { Event } from '#gen/swarm/v1/objects.ts';
import { actorKindName } from '#proto/event-actor-kinds.ts';

export const EVENT = struct('events.Message', {
  Type: STRING,
  Action: STRING,
  Actor: struct('events.Actor', { ID: STRING, Attributes: STRING_MAP }),
  'Scope=scope?': STRING,
  'Time=time?': INT,
  'TimeNano=timeNano?': INT,
  '+Version': UINT,
  '+Message': STRING,
  '+By': struct('starling.EventActor', { Kind: STRING, ID: STRING, Name: STRING, Peer: STRING }),
});

export function eventShape(event: Event): StructData {
  const { type, action, subjectId, actor, createdAtMs, version, message } = event;
  return {
    Type: type,
    Action: action,
    Actor: { ID: subjectId, Attributes: eventAttributes(event) },
    Scope: 'swarm',
    Time: Math.floor(createdAtMs / 1000),
    TimeNano: createdAtMs * 1e6,
    Version: version,
    Message: message,
    By: {
      Kind: actorKindName(actor?.kind) ?? '',
      ID: actor?.id,
      Name: actor?.name,
      Peer: actor?.peer,
    },
  };
}

/** What is known of what it happened to, by name. */
export function eventAttributes({ subjectName, attributes }: Event): Readonly<Record<string, string>> {
  return subjectName === '' ? attributes : { ...attributes, name: subjectName };
}

/** `root@m1`, `client ci`, `swarm`. */
export function eventAuthor({ actor }: Event): string {
  const kind = actorKindName(actor?.kind);
  if (actor === undefined || kind === undefined) return '';
  return kind === 'swarm' ? kind : describeAuthor(writeAuthor({ ...actor, kind }));
}
