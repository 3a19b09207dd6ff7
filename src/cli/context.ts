/** What every command works with. */
import type { SwarmApi } from './api.ts';
import type { Endpoint } from './contexts/choose-endpoint.ts';
import type { CliEnvironment } from './environment.ts';

export interface CliContext extends CliEnvironment {
  /** To whom the command line speaks. @throws CliError where the current context cannot be told */
  endpoint(): Promise<Endpoint>;
  /** Directory of Docker's client configuration (`config.json` with registry logins). */
  readonly configDirectory: string;
  /** The connection to the daemon, opened by the first who asks. */
  api(): Promise<SwarmApi>;
}

/** One line on standard output. */
export function printLine(context: CliEnvironment, text: string): void {
  context.stdout.write(`${text}\n`);
}

/** One line on standard error. */
export function printWarning(context: CliEnvironment, text: string): void {
  context.stderr.write(`${text}\n`);
}
