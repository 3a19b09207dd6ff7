/** Which events a reader wants. */
import { invalidField } from '#common/errors.ts';
import type { ListEventsRequest } from '#gen/swarm/v1/events.ts';
import type { Event } from '#gen/swarm/v1/objects.ts';
import { EVENT_ACTIONS } from '#manager/events/index.ts';
import { actorKindName } from '#proto/event-actor-kinds.ts';

export type EventFilter = (event: Event) => boolean;

const VALUES_MAX = 100;
/** So much of an id names one. */
const ID_PREFIX_MIN = 8;

const TYPES: ReadonlySet<string> = new Set(Object.keys(EVENT_ACTIONS));
const ACTIONS: ReadonlySet<string> = new Set(Object.values(EVENT_ACTIONS).flat());

/** @throws SwarmError `bad-field` for what no event can be */
export function eventFilter(request: ListEventsRequest): EventFilter {
  const { types, actions, subjects, actors, sinceMs, untilMs } = request;
  checkKnown('types', types, TYPES);
  checkKnown('actions', actions, ACTIONS);
  for (const [field, values] of Object.entries({ types, actions, subjects, actors }))
    if (values.length > VALUES_MAX)
      throw invalidField(field, `${values.length} values, at most ${VALUES_MAX} are looked for`, 'ask for fewer');
  return (event) =>
    (types.length === 0 || types.includes(event.type)) &&
    (actions.length === 0 || actions.includes(event.action)) &&
    (subjects.length === 0 || subjects.some((wanted) => isNamed(wanted, event.subjectId, event.subjectName))) &&
    (actors.length === 0 || actors.some((wanted) => isActor(wanted, event))) &&
    (sinceMs === 0 || event.createdAtMs >= sinceMs) &&
    (untilMs === 0 || event.createdAtMs <= untilMs);
}

function isActor(wanted: string, { actor }: Event): boolean {
  if (actor === undefined) return false;
  return wanted === actorKindName(actor.kind) || isNamed(wanted, actor.id, actor.name);
}

function isNamed(wanted: string, id: string, name: string): boolean {
  return wanted === name || wanted === id || (wanted.length >= ID_PREFIX_MIN && id.startsWith(wanted));
}

function checkKnown(field: string, values: readonly string[], known: ReadonlySet<string>): void {
  const unknown = values.find((value) => !known.has(value));
  if (unknown === undefined) return;
  throw invalidField(field, `no event is of ${JSON.stringify(unknown.slice(0, 64))}`, `use ${[...known].join(', ')}`);
}
