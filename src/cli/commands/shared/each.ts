/** Commands that take many arguments go on after a failure and report all failures at the end. */
import { SwarmError } from '#common/errors.ts';
import { CliError, EXIT_FAILURE } from '../../cli-errors.ts';
import { daemonMessage } from '../../report-error.ts';

export interface Failures {
  /** Runs the work; what the daemon refuses is kept for the end. Anything else is thrown at once. */
  attempt(work: () => Promise<void>, words?: (error: SwarmError) => string): Promise<void>;
  /** Throws a CliError with every failure on a line of its own, if there was one, and their ways out. */
  report(exitCode?: number): void;
}

export function collectFailures(): Failures {
  const found: { readonly message: string; readonly hint: string | undefined }[] = [];
  return {
    async attempt(work, words = daemonMessage) {
      try {
        await work();
      } catch (thrown) {
        if (thrown instanceof CliError) {
          found.push({ message: thrown.message, hint: thrown.hint });
          return;
        }
        if (!(thrown instanceof SwarmError) || thrown.reason === 'daemon-unreachable') throw thrown;
        found.push({ message: words(thrown), hint: thrown.hint });
      }
    },
    report(exitCode = EXIT_FAILURE) {
      if (found.length === 0) return;
      const hints = new Set(found.flatMap(({ hint }) => hint ?? []));
      // One way out for all of them comes last; different ones come with what they are for.
      const apart = hints.size > 1;
      const lines = found.flatMap(({ message, hint }) =>
        apart && hint !== undefined ? [message, `Hint: ${hint}`] : [message],
      );
      throw new CliError(lines.join('\n'), { exitCode, hint: apart ? undefined : [...hints][0] });
    },
  };
}

export function isNotFound(thrown: unknown): boolean {
  return thrown instanceof SwarmError && thrown.code === 'not-found';
}
