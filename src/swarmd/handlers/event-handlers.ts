/** What was done to the swarm: every manager has it all. */
import type { EventService } from '#gen/swarm/v1/events.ts';
import { listEvents } from '#manager/watch/index.ts';
import type { Handlers } from '#proto/grpc/methods.ts';
import { caughtUp, type ServingAccess } from './manager-access.ts';

/** A timer of Node takes 24 days at most; whoever follows for longer begins again by then. */
const FOLLOW_MAX_MS = 20 * 24 * 3_600_000;

export function eventHandlers(manager: ServingAccess): Handlers<typeof EventService> {
  return {
    listEvents: async function* (request, context) {
      const serving = manager();
      // A version that was seen at another manager is known here from now on.
      await caughtUp(serving, context);
      const untilMs = request.follow && request.untilMs > 0 ? request.untilMs : Date.now() + FOLLOW_MAX_MS;
      const leftMs = Math.max(0, Math.min(untilMs - Date.now(), FOLLOW_MAX_MS));
      const ended = new AbortController();
      const timer = setTimeout(() => ended.abort(), leftMs);
      try {
        yield* listEvents(serving.store, request, AbortSignal.any([context.signal, ended.signal]));
      } finally {
        clearTimeout(timer);
      }
    },
  };
}
