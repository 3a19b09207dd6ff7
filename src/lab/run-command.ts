/** Runs a program of the lab's own (mount, nsenter, the swarm CLI) and collects what it says. */
import { spawn } from 'node:child_process';
import { constants } from 'node:os';
import { SwarmError } from '#common/errors.ts';
import { LAB_CONFIG } from './config.ts';

export interface CommandResult {
  /** 128 + signal when a signal ended it. */
  readonly exitCode: number;
  readonly stdout: string;
  readonly stderr: string;
}

export interface CommandOptions {
  readonly timeoutMs?: number | undefined;
  readonly env?: Readonly<Record<string, string>> | undefined;
  /** Given to its standard input. */
  readonly input?: string | undefined;
}

export function exitCodeOf(code: number | null, signal: NodeJS.Signals | null): number {
  return code ?? 128 + (signal === null ? 0 : constants.signals[signal]);
}

/** Resolves with any exit code. Rejects when the program cannot be started, or with `timeout` when it took too long. */
export function runCommand(command: readonly string[], options: CommandOptions = {}): Promise<CommandResult> {
  const [file = '', ...args] = command;
  const timeoutMs = options.timeoutMs ?? LAB_CONFIG.commandMs;
  return new Promise((resolve, reject) => {
    const child = spawn(file, args, { env: { ...process.env, ...options.env }, stdio: 'pipe' });
    let stdout = '';
    let stderr = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      stdout += text;
    });
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      stderr += text;
    });
    // A program that ends without reading its input closes the pipe: no concern of ours.
    child.stdin.on('error', () => {});
    child.stdin.end(options.input ?? '');
    const timer = setTimeout(() => {
      child.kill('SIGKILL');
      reject(
        new SwarmError({
          code: 'deadline',
          reason: 'timeout',
          message: `timed out after ${timeoutMs} ms waiting for ${command.join(' ')}`,
        }),
      );
    }, timeoutMs);
    child.once('error', (cause) => {
      clearTimeout(timer);
      reject(failed(command, cause.message, cause));
    });
    child.once('close', (code, signal) => {
      clearTimeout(timer);
      resolve({ exitCode: exitCodeOf(code, signal), stdout, stderr });
    });
  });
}

/** As `runCommand`, but anything else than exit code 0 is an error that says what the program said. */
export async function mustRun(command: readonly string[], options: CommandOptions = {}): Promise<string> {
  const { exitCode, stdout, stderr } = await runCommand(command, options);
  if (exitCode === 0) return stdout;
  throw failed(command, stderr.trim() || stdout.trim() || `exit code ${exitCode}`);
}

function failed(command: readonly string[], why: string, cause?: unknown): SwarmError {
  return new SwarmError({
    code: 'internal',
    reason: 'internal',
    message: `${command.join(' ')}: ${why}`,
    cause,
  });
}
