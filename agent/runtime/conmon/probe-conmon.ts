/** conmon's binary, and what its version can do. */
import { runProcess } from '#agent/kernel/run-process.ts';
import { SwarmError } from '#common/errors.ts';
import { PROGRAM_ENVIRONMENT, requireProgram } from '../programs.ts';

export interface Conmon {
  readonly path: string;
  readonly version: string;
  /** Knows --no-sync-log. */
  readonly canSkipSync: boolean;
}

const TIMEOUT_MS = 10_000;
const OUTPUT_BYTES = 4096;

/** Pure part: the output of `--version`; undefined when it is not conmon's. */
export function describeConmon(path: string, output: string): Conmon | undefined {
  const match = /^conmon version (\d+)\.(\d+)(\S*)/.exec(output);
  if (match === null) return undefined;
  const [major, minor] = [Number(match[1]), Number(match[2])];
  return {
    path,
    version: `${match[1]}.${match[2]}${match[3]}`,
    canSkipSync: major > 2 || (major === 2 && minor >= 1),
  };
}

/** Throws `preflight` when conmon is missing, does not run or is older than 2.0. */
export async function probeConmon(): Promise<Conmon> {
  const path = await requireProgram('conmon', 'conmon');
  const answer = await runProcess({
    file: path,
    args: ['--version'],
    env: PROGRAM_ENVIRONMENT,
    timeoutMs: TIMEOUT_MS,
    outputBytesMax: OUTPUT_BYTES,
  });
  const found = describeConmon(path, answer.stdout);
  if (found !== undefined && !/^[01]\./.test(found.version)) return found;
  throw new SwarmError({
    code: 'precondition',
    reason: 'preflight',
    message: `${path} is no conmon of version 2: ${(answer.stdout || answer.stderr).trim()}`,
    hint: 'install the package conmon',
  });
}
