/**
 * Output that a reader follows, over changes of the leader: what was read is remembered, and the next leader is asked for
 * what comes after it. The reader hears of it only when it takes long.
 */
import { type BackoffOptions, backoffDelay } from '#common/backoff.ts';
import type { Clock } from '#common/clock.ts';
import { SwarmError } from '#common/errors.ts';
import type { Random } from '#common/random.ts';
import { systemClock } from '#common/system/clock.ts';
import { systemRandom } from '#common/system/random.ts';
import { LogOptions, type SubscribeLogsRequest, SubscribeLogsResponse } from '#gen/swarm/v1/logs.ts';
import { LogProgress } from '#manager/logbroker/index.ts';

export interface FollowedLogsConfig {
  readonly retry: BackoffOptions;
  /** An interruption that lasts longer is the end: an operator has to do something. */
  readonly giveUpMs: number;
  /** The reader is told of one that lasts this long. */
  readonly tellMs: number;
  /** A stream that stood this long without a word stood; what ends it is another interruption. */
  readonly standsMs: number;
}

export const FOLLOWED_LOGS_DEFAULTS: FollowedLogsConfig = {
  // An election takes a second or two; without a quorum every attempt takes a moment by itself.
  retry: { baseMs: 100, maxMs: 2_000, factor: 2, jitter: 0.5 },
  // The restart of a host or two.
  giveUpMs: 60_000,
  // Longer than an election on a busy machine.
  tellMs: 5_000,
  standsMs: 5_000,
};

export interface FollowedLogs {
  /** Reads at the leader of the moment. */
  readonly read: (request: SubscribeLogsRequest) => AsyncIterable<SubscribeLogsResponse>;
  readonly request: SubscribeLogsRequest;
  /** Whether nobody reads any more, or this manager ends. */
  readonly hasEnded: () => boolean;
  /** Aborted when nobody reads any more. */
  readonly signal: AbortSignal;
  readonly config?: FollowedLogsConfig | undefined;
  readonly clock?: Clock | undefined;
  readonly random?: Random | undefined;
}

/** Warnings that are not told again after an interruption; a service has few that differ. */
const WARNINGS_MAX = 1_000;

/**
 * @throws SwarmError what the leader says of the request; `no-quorum` and its like at once when nothing was ever read, else
 *   when an interruption lasts
 */
export async function* followLogs(options: FollowedLogs): AsyncGenerator<SubscribeLogsResponse> {
  const { read, request, hasEnded, signal, clock = systemClock, random = systemRandom } = options;
  const config = options.config ?? FOLLOWED_LOGS_DEFAULTS;
  const progress = new LogProgress(request.options?.resume);
  const beganUs = request.options?.resume?.beganUs ?? Math.floor(clock.now() * 1000);
  const warned = new Set<string>();
  let interruption: Interruption | undefined;
  /** Whether there is something to go on with. */
  let stood = false;
  for (let current = request; ; ) {
    const startMs = clock.monotonic();
    try {
      for await (const { messages, warnings } of read(current)) {
        stood = true;
        interruption = undefined;
        // The leader has left out what came before.
        for (const message of messages) progress.take(message);
        const news = current === request ? warnings : warnings.filter((warning) => !warned.has(warning));
        for (const warning of warnings) if (warned.size < WARNINGS_MAX) warned.add(warning);
        if (messages.length > 0 || news.length > 0) yield { messages, warnings: news };
      }
      return;
    } catch (thrown) {
      const error = SwarmError.from(thrown);
      const nowMs = clock.monotonic();
      if (nowMs - startMs >= config.standsMs) {
        stood = true;
        interruption = undefined;
      }
      if (!stood || hasEnded() || !mayPass(error)) throw error;
      interruption ??= { sinceMs: nowMs, attempts: 0, isTold: false };
      const lastsMs = nowMs - interruption.sinceMs;
      if (lastsMs >= config.giveUpMs) throw error;
      if (lastsMs >= config.tellMs && !interruption.isTold) {
        interruption.isTold = true;
        yield SubscribeLogsResponse.create({ warnings: [interruptedBy(error)] });
      }
    }
    await pause(clock, backoffDelay(config.retry, interruption.attempts++, random), signal);
    if (hasEnded()) return;
    const resume = progress.resumption(beganUs);
    current = { ...request, options: LogOptions.create({ ...request.options, resume }) };
  }
}

interface Interruption {
  readonly sinceMs: number;
  attempts: number;
  isTold: boolean;
}

/** What another leader, or the same a moment later, may mend. */
function mayPass({ code, reason }: SwarmError): boolean {
  return code === 'unavailable' || (code === 'unauthenticated' && reason === 'expired');
}

function interruptedBy({ message }: SwarmError): string {
  return `the output is interrupted, and goes on where it was when a manager leads again: ${message}`;
}

function pause(clock: Clock, delayMs: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      cancel();
      signal.removeEventListener('abort', done);
      resolve();
    };
    const cancel = clock.setTimer(delayMs, done);
    signal.addEventListener('abort', done, { once: true });
    if (signal.aborted) done();
  });
}
