/** Commands that take many arguments go on after a failure and report all failures at the end. */
import { SwarmError } from '#common/errors.ts';
import { CliError } from '../../cli-errors.ts';
import { daemonMessage } from '../../report-error.ts';

export interface Failures {
  /** Runs the work; what the daemon refuses is kept for the end. Anything else is thrown at once. */
  attempt(work: () => Promise<void>, words?: (error: SwarmError) => string): Promise<void>;
  /** Throws a CliError with every failure on a line of its own, if there was one. */
  report(): void;
}

export function collectFailures(): Failures {
  const messages: string[] = [];
  const hints = new Set<string>();
  return {
    async attempt(work, words = daemonMessage) {
      try {
        await work();
      } catch (thrown) {
        if (thrown instanceof CliError) {
          messages.push(thrown.message);
          if (thrown.hint !== undefined) hints.add(thrown.hint);
          return;
        }
        if (!(thrown instanceof SwarmError) || thrown.reason === 'daemon-unreachable') throw thrown;
        messages.push(words(thrown));
        if (thrown.hint !== undefined) hints.add(thrown.hint);
      }
    },
    report() {
      if (messages.length === 0) return;
      throw new CliError(messages.join('\n'), { hint: hints.size === 1 ? [...hints][0] : undefined });
    },
  };
}

export function isNotFound(thrown: unknown): boolean {
  return thrown instanceof SwarmError && thrown.code === 'not-found';
}
