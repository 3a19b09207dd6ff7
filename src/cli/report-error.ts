/** Errors as a user sees them: never a stack trace, always the way out where one is known. */
import { SwarmError } from '#common/errors.ts';
import { visibleText } from '#common/readable-text.ts';
import { CliError, EXIT_FAILURE, EXIT_USAGE, SilentExit, UsageError } from './cli-errors.ts';

export interface ErrorReport {
  /** For standard error, with its end of line; empty when all has been said. */
  readonly text: string;
  readonly exitCode: number;
}

export function reportError(thrown: unknown, debug: boolean): ErrorReport {
  if (thrown instanceof SilentExit) return { text: '', exitCode: thrown.exitCode };
  const { message, hint, exitCode } = describe(thrown);
  const lines = [message];
  if (hint !== undefined && hint !== '') lines.push(`Hint: ${hint}`);
  if (debug) lines.push(...debugLines(thrown));
  // Names of others may be in it, and output of their programs.
  return { text: `${visibleText(lines.join('\n'))}\n`, exitCode };
}

interface Description {
  readonly message: string;
  readonly hint: string | undefined;
  readonly exitCode: number;
}

function describe(thrown: unknown): Description {
  if (thrown instanceof UsageError) return { message: thrown.message, hint: thrown.hint, exitCode: EXIT_USAGE };
  if (thrown instanceof CliError) return { message: thrown.message, hint: thrown.hint, exitCode: thrown.exitCode };
  if (thrown instanceof SwarmError)
    return { message: daemonMessage(thrown), hint: thrown.hint, exitCode: EXIT_FAILURE };
  const message = thrown instanceof Error ? thrown.message : String(thrown);
  return {
    message: `Error: ${message}`,
    hint: 'this is a defect of the command line; run it again with --debug before reporting it',
    exitCode: EXIT_FAILURE,
  };
}

/** What the daemon refused, in Docker's words; that it cannot be reached is not its own word. */
export function daemonMessage(error: SwarmError): string {
  if (error.reason === 'daemon-unreachable') return error.message;
  return `Error response from daemon: ${error.message}`;
}

/** The chain of causes, and where they were thrown: for those who asked. */
function debugLines(thrown: unknown): readonly string[] {
  const lines: string[] = [];
  let current: unknown = thrown;
  for (let depth = 0; current instanceof Error && depth < 10; depth++) {
    if (current instanceof SwarmError)
      lines.push(
        `Debug: code=${current.code} reason=${current.reason}${current.field === undefined ? '' : ` field=${current.field}`}`,
      );
    lines.push(`Debug: ${current.stack ?? current.message}`);
    current = current.cause;
  }
  return lines;
}
