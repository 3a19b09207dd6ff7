/** Runs one of the command-line programs for networks: arguments as they are, input on stdin, no shell. */
import { type ChildProcess, spawn } from 'node:child_process';
import { SwarmError } from '#common/errors.ts';
import { withDeadline } from '#common/system/deadline.ts';

const TIMEOUT_MS = 30_000;
/** Ten thousand services list in less. */
const OUTPUT_BYTES_MAX = 64 << 20;
const ENVIRONMENT = { PATH: '/usr/sbin:/usr/bin:/sbin:/bin', LC_ALL: 'C' };

export interface ToolResult {
  readonly exitCode: number;
  readonly stdout: string;
  readonly stderr: string;
}

function collect(child: ChildProcess, name: 'stdout' | 'stderr'): () => string {
  const chunks: Buffer[] = [];
  let bytes = 0;
  child[name]?.on('data', (chunk: Buffer) => {
    bytes += chunk.length;
    if (bytes <= OUTPUT_BYTES_MAX) chunks.push(chunk);
  });
  return () => Buffer.concat(chunks).toString('utf8');
}

/**
 * In the namespace at the path, or in that of the process. Resolves with any exit code; rejects with `preflight` when the
 * program is not there, and with `timeout`.
 */
export async function runTool(
  namespace: string | undefined,
  command: readonly string[],
  input = '',
): Promise<ToolResult> {
  const whole = namespace === undefined ? command : ['nsenter', `--net=${namespace}`, '--', ...command];
  const [program = '', ...args] = whole;
  const child = spawn(program, args, { env: ENVIRONMENT, stdio: 'pipe' });
  const stdout = collect(child, 'stdout');
  const stderr = collect(child, 'stderr');
  const ended = new Promise<number>((resolve, reject) => {
    child.once('error', (cause) =>
      reject(
        new SwarmError({
          code: 'precondition',
          reason: 'preflight',
          message: `the program ${program} cannot be run`,
          hint: 'install iproute2, nftables, conntrack and util-linux',
          cause,
        }),
      ),
    );
    child.once('close', (code, signal) => resolve(code ?? (signal === null ? 1 : 128)));
  });
  // A program that ends before it has read everything says why on stderr.
  child.stdin?.on('error', () => {});
  child.stdin?.end(input);
  try {
    return { exitCode: await withDeadline(ended, TIMEOUT_MS, command.join(' ')), stdout: stdout(), stderr: stderr() };
  } catch (error) {
    child.kill('SIGKILL');
    throw error;
  }
}

/** errno codes by what programs say. */
const CODES: readonly (readonly [RegExp, string])[] = [
  [/File exists|already (exists|assigned)/, 'EEXIST'],
  [/No such process/, 'ESRCH'],
  [/No such file or directory/, 'ENOENT'],
  [/Cannot find device|No such device/, 'ENODEV'],
  [/Cannot assign requested address|[Aa]ddress not found/, 'EADDRNOTAVAIL'],
  [/Unknown device type|not supported/, 'ENOTSUP'],
];

/** What a program said, shaped like a refused system call. */
class ToolError extends Error {
  override readonly name = 'ToolError';
  readonly code: string;

  constructor(text: string) {
    super(text);
    this.code = CODES.find(([pattern]) => pattern.test(text))?.[1] ?? 'EINVAL';
  }
}

export function codeOf(text: string): string {
  return new ToolError(text).code;
}

/** `what` completes "cannot ...". */
export function toolFailure(what: string, text: string): SwarmError {
  const said = text.trim().split('\n')[0] ?? '';
  return new SwarmError({
    code: 'internal',
    reason: 'network-failed',
    message: `cannot ${what}: ${said}`,
    cause: new ToolError(text.trim()),
  });
}
