/** The program `swarm`: the commands in a real process. */
import { writeSync } from 'node:fs';
import { isatty } from 'node:tty';
import { visibleText } from '#common/readable-text.ts';
import { systemClock } from '#common/system/clock.ts';
import { connectEndpoint } from './contexts/connect-endpoint.ts';
import type { CliEnvironment, OutputStream } from './environment.ts';
import { runCommandLine } from './run.ts';

/** What a shell reports for a program ended by a closed pipe. */
const EXIT_BROKEN_PIPE = 141;

function processOutput(stream: NodeJS.WriteStream): OutputStream {
  return {
    write: (text) => {
      stream.write(text);
    },
    isTerminal: stream.isTTY === true,
    columns: stream.isTTY === true ? stream.columns : undefined,
  };
}

function processEnvironment(): CliEnvironment {
  return {
    stdout: processOutput(process.stdout),
    stderr: processOutput(process.stderr),
    // A library may have opened it already and made its descriptor non-blocking: a second reader would fail with EAGAIN.
    stdin: {
      isTerminal: isatty(0),
      chunks: () => process.stdin,
      hideInput: () => {
        process.stdin.setRawMode(true);
        return () => process.stdin.setRawMode(false);
      },
    },
    variables: process.env,
    clock: systemClock,
    onInterrupt: (callback) => {
      process.on('SIGINT', callback);
      process.on('SIGTERM', callback);
      return () => {
        process.off('SIGINT', callback);
        process.off('SIGTERM', callback);
      };
    },
  };
}

/** A reader that has seen enough (`swarm service ls | head -1`) is no error. */
function endOnBrokenPipe(): void {
  for (const stream of [process.stdout, process.stderr])
    stream.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'EPIPE') process.exit(EXIT_BROKEN_PIPE);
      throw error;
    });
}

/** Last resort: whatever escapes is one line, without a stack. */
function endOnEscapedError(): void {
  process.on('uncaughtException', (error) => {
    writeSync(2, `Error: ${visibleText(error instanceof Error ? error.message : String(error))}\n`);
    process.exit(1);
  });
}

/** Resolves when all that was written has left the process. */
async function drained(stream: NodeJS.WriteStream): Promise<void> {
  if (stream.writableLength === 0) return;
  await new Promise<void>((resolve) => stream.write('', () => resolve()));
}

export async function main(): Promise<void> {
  endOnBrokenPipe();
  endOnEscapedError();
  const exitCode = await runCommandLine(process.argv.slice(2), {
    environment: processEnvironment(),
    connect: connectEndpoint,
  });
  await drained(process.stdout);
  await drained(process.stderr);
  process.exitCode = exitCode;
}
