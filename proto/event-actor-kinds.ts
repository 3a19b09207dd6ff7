/** Who an event says did it: the kinds of authors of `common/author.ts`, as they stand in events. */
import type { AuthorKind } from '#common/author.ts';
import { EventActorKind } from '#gen/swarm/v1/objects.ts';

export const ACTOR_KINDS: { readonly [Kind in AuthorKind]: EventActorKind } = {
  swarm: EventActorKind.SWARM,
  local: EventActorKind.LOCAL,
  node: EventActorKind.NODE,
  client: EventActorKind.CLIENT,
  token: EventActorKind.TOKEN,
};

const NAMES: ReadonlyMap<EventActorKind, AuthorKind> = new Map(
  // The keys of the table are its type's.
  (Object.keys(ACTOR_KINDS) as AuthorKind[]).map((name) => [ACTOR_KINDS[name], name]),
);

/** Undefined where nobody is named, and for a kind of a newer release. */
export function actorKindName(kind: EventActorKind | undefined): AuthorKind | undefined {
  return kind === undefined ? undefined : NAMES.get(kind);
}
