/** `swarm events`: what was done to the swarm, and by whom; goes on by itself when a manager goes away. */
import { type BackoffOptions, backoffDelay } from '#common/backoff.ts';
import { SwarmError } from '#common/errors.ts';
import { systemRandom } from '#common/system/random.ts';
import type { ListEventsRequest } from '#gen/swarm/v1/events.ts';
import type { Event } from '#gen/swarm/v1/objects.ts';
import type { SwarmApi } from '../../api.ts';
import { EXIT_INTERRUPTED, SilentExit } from '../../cli-errors.ts';
import type { CommandImplementation, Invocation } from '../../command.ts';
import { printLine, printWarning } from '../../context.ts';
import { stringFlag } from '../../flags.ts';
import { mayBeFollowedOn } from '../../progress/passing-errors.ts';
import { FILTER, OUTPUT, wantsDocument } from '../shared/format-flags.ts';
import { pause } from '../shared/pause.ts';
import { eventPrinter, jsonLine } from './event-output.ts';
import { EVENTS_SINCE, EVENTS_UNTIL, eventRequest, FOLLOW_EVENTS, NO_FOLLOW } from './event-request.ts';

const FORMAT = stringFlag({
  name: 'format',
  usage:
    "Format output using a custom template:\n'json':             Print in JSON format\n'TEMPLATE':         Print output using the given Go template.",
  completions: ['json'],
});

/** A manager that restarts is back in seconds; another one is found at once. */
const RETRY: BackoffOptions = { baseMs: 200, maxMs: 5_000, factor: 1.7, jitter: 0.5 };

export const events: CommandImplementation = {
  flags: [EVENTS_SINCE, EVENTS_UNTIL, FILTER, FORMAT, OUTPUT, FOLLOW_EVENTS, NO_FOLLOW],
  examples: [
    'swarm events',
    'swarm events --since 24h --no-follow --filter type=node --filter type=manager',
    'swarm events --since v1234 --filter actor=ci',
    "swarm events --since 1h --format '{{.Version}} {{.Message}} ({{.By.Name}})'",
  ],
  run: showEvents,
};

async function showEvents({ context, flags }: Invocation): Promise<void> {
  const request = eventRequest(flags, context.clock.now());
  const isDocument = wantsDocument(flags, FORMAT);
  const print = isDocument ? jsonLine : eventPrinter(flags.value(FORMAT));
  const api = await context.api();
  if (isDocument && !request.follow) {
    const all: string[] = [];
    for await (const event of kept(api, request, (text) => printWarning(context, text))) all.push(jsonLine(event));
    printLine(context, `[${all.join(',')}]`);
    return;
  }
  const interrupted = new AbortController();
  const release = context.onInterrupt(() => interrupted.abort());
  try {
    const reader = new EventReader(api, request, (text) => printWarning(context, text));
    for await (const event of reader.events(context.clock, interrupted.signal)) printLine(context, print(event));
  } catch (thrown) {
    if (!interrupted.signal.aborted) throw thrown;
  } finally {
    release();
  }
  if (interrupted.signal.aborted) throw new SilentExit(EXIT_INTERRUPTED);
}

async function* kept(api: SwarmApi, request: ListEventsRequest, warn: (text: string) => void): AsyncGenerator<Event> {
  for await (const { events: page, gap } of api.events.listEvents(request)) {
    if (gap) warn(gapText(request.afterVersion));
    yield* page;
  }
}

/** Reads on after a break, from the version that was reached: nothing is missing unless it is said, nothing comes twice. */
class EventReader {
  readonly #api: SwarmApi;
  readonly #warn: (text: string) => void;
  #request: ListEventsRequest;
  #failures = 0;
  #hasBegun = false;

  constructor(api: SwarmApi, request: ListEventsRequest, warn: (text: string) => void) {
    this.#api = api;
    this.#request = request;
    this.#warn = warn;
  }

  async *events(clock: Invocation['context']['clock'], signal: AbortSignal): AsyncGenerator<Event> {
    for (;;) {
      let failure: SwarmError | undefined;
      try {
        yield* this.#attempt(signal);
      } catch (thrown) {
        failure = SwarmError.from(thrown);
        // What was never reached is told at once: there is nothing to go on with.
        if (!this.#request.follow || !mayBeFollowedOn(failure) || !this.#hasBegun) throw failure;
      }
      if (signal.aborted || !this.#request.follow || this.#isOver(clock.now())) return;
      if (this.#failures === 0 && failure !== undefined) this.#warn(`WARNING: ${failure.message}; trying again`);
      await pause({ clock }, backoffDelay(RETRY, this.#failures++, systemRandom), signal);
      if (signal.aborted) return;
    }
  }

  async *#attempt(signal: AbortSignal): AsyncGenerator<Event> {
    const request = this.#request;
    for await (const { events: page, version, gap } of this.#api.events.listEvents(request, { signal })) {
      if (gap) this.#warn(gapText(this.#request.afterVersion));
      yield* page;
      this.#failures = 0;
      this.#hasBegun = true;
      this.#request = { ...this.#request, afterVersion: Math.max(version, this.#request.afterVersion), onlyNew: false };
    }
  }

  #isOver(nowMs: number): boolean {
    return this.#request.untilMs > 0 && nowMs >= this.#request.untilMs;
  }
}

function gapText(afterVersion: number): string {
  return `WARNING: events after version ${afterVersion} are missing: the swarm keeps the newest ones only; audit logs of managers may have them (swarm audit)`;
}
