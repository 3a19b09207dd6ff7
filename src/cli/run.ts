/** One command line from its words to its exit code. */
import { SwarmError } from '#common/errors.ts';
import { VERSION as RELEASE } from '../swarmd/version.ts';
import type { SwarmApi } from './api.ts';
import { CliError, FlagValueError, SilentExit, UsageError } from './cli-errors.ts';
import { ROOT } from './command-tree.ts';
import type { CliContext } from './context.ts';
import { type Endpoint, endpointChooser } from './contexts/choose-endpoint.ts';
import type { CliEnvironment } from './environment.ts';
import type { FlagValues } from './flags.ts';
import { chosenConfigDirectory, DEBUG, GLOBAL_FLAGS, VERSION } from './global-flags.ts';
import { runProgram } from './program.ts';
import { reportError } from './report-error.ts';

export interface RunOptions {
  readonly environment: CliEnvironment;
  /** Opens the connection to the daemon; called once, when a command needs it. */
  readonly connect: (endpoint: Endpoint, environment: CliEnvironment) => Promise<SwarmApi>;
}

/** Runs the command line (without the program's name). Never throws. */
export async function runCommandLine(words: readonly string[], options: RunOptions): Promise<number> {
  const { environment } = options;
  const session = new Session(options);
  try {
    const exitCode = await runProgram(
      { root: ROOT, globalFlags: GLOBAL_FLAGS, open: (flags) => session.open(flags) },
      words,
      {
        stdout: (text) => environment.stdout.write(text),
        stderr: (text) => environment.stderr.write(text),
        columns: environment.stdout.columns,
      },
    );
    await session.settle();
    return exitCode;
  } catch (thrown) {
    const report = reportError(thrown, session.debug);
    if (report.text !== '') environment.stderr.write(report.text);
    return report.exitCode;
  } finally {
    await session.close();
  }
}

class Session {
  readonly #options: RunOptions;
  #api: Promise<SwarmApi> | undefined;
  debug = false;

  constructor(options: RunOptions) {
    this.#options = options;
  }

  open(flags: FlagValues): CliContext {
    const { environment, connect } = this.#options;
    this.debug = flags.isSet(DEBUG);
    if (flags.isSet(VERSION)) {
      environment.stdout.write(`Starling version ${RELEASE}\n`);
      throw new SilentExit(0);
    }
    const endpoint = this.#chooser(flags);
    return {
      ...environment,
      endpoint,
      configDirectory: chosenConfigDirectory(flags, environment.variables),
      api: () => (this.#api ??= endpoint().then((chosen) => connect(chosen, environment))),
    };
  }

  #chooser(flags: FlagValues): () => Promise<Endpoint> {
    try {
      return endpointChooser(flags, this.#options.environment.variables);
    } catch (thrown) {
      if (thrown instanceof FlagValueError) throw new UsageError(thrown.message, thrown.hint);
      throw thrown;
    }
  }

  /** After a command that went well. */
  async settle(): Promise<void> {
    await (await this.#api)?.settle?.();
  }

  async close(): Promise<void> {
    if (this.#api === undefined) return;
    try {
      (await this.#api).close();
    } catch (thrown) {
      // The command has already failed with this error.
      if (!(thrown instanceof SwarmError || thrown instanceof CliError)) throw thrown;
    }
  }
}
