/** Events for readers outside: those that are kept, then those that come, after a version and without a silent gap. */
import { SwarmError } from '#common/errors.ts';
import { LIMITS } from '#common/limits.ts';
import { type ListEventsRequest, ListEventsResponse } from '#gen/swarm/v1/events.ts';
import type { Event } from '#gen/swarm/v1/objects.ts';
import { eventPlace, isMissingBefore } from '#manager/events/index.ts';
import type { CommitEvents, StoreEvent, StoreView } from '#manager/store/index.ts';
import { type EventFilter, eventFilter } from './event-filter.ts';

/** The state, and everything that comes after it. */
export interface EventFeed {
  viewAndWatch(options: { readonly filter: (event: StoreEvent) => boolean }): {
    readonly view: StoreView;
    readonly commits: AsyncIterable<CommitEvents> & { close(): void };
  };
}

/** An answer is sent when it has so many events; those of one version are never in two. */
const PAGE_EVENTS = LIMITS.LIST_PAGE / 2;

/**
 * Ends when all that was asked for was given, or the signal is aborted.
 * @throws SwarmError `bad-field`, and `slow-watcher` when the reader fell too far behind: it resumes after its version
 */
export async function* listEvents(
  feed: EventFeed,
  request: ListEventsRequest,
  signal: AbortSignal,
): AsyncGenerator<ListEventsResponse> {
  const filter = eventFilter(request);
  // 0 asks for all that are kept: nothing is missing before those.
  let after = request.afterVersion;
  let isFirst = true;
  while (!signal.aborted) {
    const { view, commits } = feed.viewAndWatch({
      filter: (event) => event.table === 'event' && event.kind === 'create',
    });
    const close = (): void => commits.close();
    signal.addEventListener('abort', close, { once: true });
    try {
      checkVersion(after, view);
      if (isFirst && request.onlyNew) {
        after = view.version;
        yield ListEventsResponse.create({ version: after });
      } else yield* kept(view, after, filter);
      isFirst = false;
      if (!request.follow || signal.aborted) return;
      after = Math.max(after, lastVersion(view));
      for await (const { version, events } of commits) {
        const created = events.flatMap((event) => (event.table === 'event' ? [event.object] : []));
        yield ListEventsResponse.create({ events: created.filter(filter), version });
        after = version;
      }
      return;
    } catch (thrown) {
      // A leader's snapshot has taken the place of the state: what came with it is in the table.
      if (SwarmError.from(thrown).reason !== 'version-gone') throw thrown;
    } finally {
      signal.removeEventListener('abort', close);
      commits.close();
    }
  }
}

function* kept(view: StoreView, after: number, filter: EventFilter): Generator<ListEventsResponse> {
  const events = [...view.all('event')].sort((a, b) => (a.id < b.id ? -1 : 1)).filter(({ version }) => version > after);
  let page: Event[] = [];
  let version = after;
  let gap = after > 0 && events[0] !== undefined && isMissingBefore(eventPlace(events[0].id), after);
  for (const event of events) {
    if (page.length >= PAGE_EVENTS && event.version !== version) {
      yield ListEventsResponse.create({ events: page, version, gap });
      page = [];
      gap = false;
    }
    if (filter(event)) page.push(event);
    version = event.version;
  }
  yield ListEventsResponse.create({ events: page, version: Math.max(version, lastVersion(view)), gap });
}

/** Of the newest event: it is where a reader goes on, whatever was committed beside events since. */
function lastVersion(view: StoreView): number {
  let last = 0;
  for (const { version } of view.all('event')) if (version > last) last = version;
  return last;
}

function checkVersion(after: number, view: StoreView): void {
  if (after <= view.version) return;
  throw new SwarmError({
    code: 'invalid',
    reason: 'bad-field',
    field: 'after_version',
    message: `version ${after} has not come yet: the swarm is at version ${view.version}`,
    hint: 'was it seen in another swarm, or before this one was restored? leave it out to see all events',
  });
}
