/** What every command works with. */
import { visibleText } from '#common/readable-text.ts';
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

/** One line on standard output, for people: others' names and messages may be in it. */
export function printLine(context: CliEnvironment, text: string): void {
  context.stdout.write(`${visibleText(text)}\n`);
}

/** One line on standard error, for people. */
export function printWarning(context: CliEnvironment, text: string): void {
  context.stderr.write(`${visibleText(text)}\n`);
}
