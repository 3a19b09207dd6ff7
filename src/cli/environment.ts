/** The seam between the commands and the process they run in. */
import type { Clock } from '#common/clock.ts';

export interface OutputStream {
  write(text: string | Uint8Array): void;
  readonly isTerminal: boolean;
  /** Columns of the terminal, where there is one. */
  readonly columns: number | undefined;
}

export interface CliEnvironment {
  readonly stdout: OutputStream;
  readonly stderr: OutputStream;
  /** The whole of standard input, in pieces. */
  readonly stdin: {
    readonly isTerminal: boolean;
    chunks(): AsyncIterable<Uint8Array>;
    /** What is typed is not shown, and comes key by key, until the returned function is called. On a terminal only. */
    hideInput?(): () => void;
  };
  readonly variables: Readonly<Record<string, string | undefined>>;
  readonly clock: Clock;
  /** Calls back on Ctrl-C until the returned function is called; without a callback Ctrl-C ends the process. */
  onInterrupt(callback: () => void): () => void;
}

/** Whether colour and cursor movement may be used on the stream. */
export function mayDraw(stream: OutputStream, environment: CliEnvironment): boolean {
  return stream.isTerminal && environment.variables.TERM !== 'dumb';
}
