/** How a command ends badly. Everything else that is thrown is shown as a SwarmError. */

export const EXIT_FAILURE = 1;
/** The command line itself is wrong. */
export const EXIT_USAGE = 125;
export const EXIT_INTERRUPTED = 130;

/** A flag that does not exist, or a value that it does not take: shown with the command's usage, exit 125. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
  readonly hint: string | undefined;

  constructor(message: string, hint?: string) {
    super(message);
    this.hint = hint;
  }
}

/** A value that a flag does not take, with the way out where there is one. */
export class FlagValueError extends Error {
  override readonly name = 'FlagValueError';
  readonly hint: string | undefined;

  constructor(message: string, hint?: string) {
    super(message);
    this.hint = hint;
  }
}

/** A failure that is worded already; printed as it is. */
export class CliError extends Error {
  override readonly name = 'CliError';
  readonly exitCode: number;
  readonly hint: string | undefined;

  constructor(message: string, options: { readonly exitCode?: number; readonly hint?: string | undefined } = {}) {
    super(message);
    this.exitCode = options.exitCode ?? EXIT_FAILURE;
    this.hint = options.hint;
  }
}

/** What was to be said has been said; only the exit code is left. */
export class SilentExit extends Error {
  override readonly name = 'SilentExit';
  readonly exitCode: number;

  constructor(exitCode: number) {
    super(`exit ${exitCode}`);
    this.exitCode = exitCode;
  }
}
