/** Profiles of system calls as Docker and containers-common write them: read, and checked before any node sees them. */

export interface SeccompProfile {
  readonly defaultAction: string;
  readonly defaultErrnoRet?: number;
  readonly architectures?: readonly string[];
  readonly archMap?: readonly SeccompArchitectures[];
  readonly syscalls: readonly SeccompProfileRule[];
}

export interface SeccompArchitectures {
  readonly architecture: string;
  readonly subArchitectures?: readonly string[] | null;
}

export interface SeccompCondition {
  readonly caps?: readonly string[];
  readonly arches?: readonly string[];
  readonly minKernel?: string;
}

export interface SeccompArgument {
  readonly index: number;
  readonly value: number;
  readonly valueTwo?: number;
  readonly op: string;
}

export interface SeccompProfileRule {
  readonly names?: readonly string[];
  readonly name?: string;
  readonly action: string;
  readonly errnoRet?: number | null;
  readonly args?: readonly SeccompArgument[] | null;
  readonly includes?: SeccompCondition;
  readonly excludes?: SeccompCondition;
}

export type ParsedSeccompProfile =
  | { readonly ok: true; readonly profile: SeccompProfile }
  /** Why it is none, with the place: `syscalls[3].action is not ...`. */
  | { readonly ok: false; readonly problem: string };

const ACTIONS: ReadonlySet<string> = new Set([
  'SCMP_ACT_ALLOW',
  'SCMP_ACT_ERRNO',
  'SCMP_ACT_KILL',
  'SCMP_ACT_KILL_PROCESS',
  'SCMP_ACT_KILL_THREAD',
  'SCMP_ACT_LOG',
  'SCMP_ACT_TRACE',
  'SCMP_ACT_TRAP',
]);
const OPERATORS: ReadonlySet<string> = new Set([
  'SCMP_CMP_NE',
  'SCMP_CMP_LT',
  'SCMP_CMP_LE',
  'SCMP_CMP_EQ',
  'SCMP_CMP_GE',
  'SCMP_CMP_GT',
  'SCMP_CMP_MASKED_EQ',
]);
const ARGUMENTS_OF_A_CALL = 6;
const ERRNO_MAX = 4095;
/** Sets what nobody may be told to listen at, and what would let a program take its filter off. */
const KEYS: ReadonlySet<string> = new Set([
  'defaultAction',
  'defaultErrnoRet',
  'defaultErrno',
  'archMap',
  'architectures',
  'syscalls',
]);

type Json = Readonly<Record<string, unknown>>;

function isObject(value: unknown): value is Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isWords(value: unknown, pattern: RegExp): boolean {
  return Array.isArray(value) && value.every((one) => typeof one === 'string' && pattern.test(one));
}

function isCount(value: unknown, limit: number): boolean {
  return typeof value === 'number' && Number.isInteger(value) && value >= 0 && value <= limit;
}

const CALL = /^[a-z0-9_]{1,64}$/;
const ARCHITECTURE = /^SCMP_ARCH_[A-Z0-9_]{1,32}$/;

function conditionProblem(value: unknown): string | undefined {
  if (value === undefined || value === null) return undefined;
  if (!isObject(value)) return 'is not an object';
  const { caps, arches, minKernel } = value;
  if (caps !== undefined && !isWords(caps, /^CAP_[A-Z_]{2,32}$/)) return '.caps is not a list of capabilities';
  if (arches !== undefined && !isWords(arches, /^[a-z0-9]{1,16}$/)) return '.arches is not a list of architectures';
  if (minKernel !== undefined && (typeof minKernel !== 'string' || !/^(?:\d{1,5}\.\d{1,5})?$/.test(minKernel)))
    return '.minKernel is not a version such as 4.8';
  return undefined;
}

function argumentProblem(value: unknown): string | undefined {
  if (!isObject(value)) return 'is not an object';
  if (!isCount(value.index, ARGUMENTS_OF_A_CALL - 1)) return '.index is not 0 to 5';
  if (!isCount(value.value, Number.MAX_SAFE_INTEGER)) return '.value is not a number up to 2^53-1';
  if (value.valueTwo !== undefined && !isCount(value.valueTwo, Number.MAX_SAFE_INTEGER))
    return '.valueTwo is not a number up to 2^53-1';
  return typeof value.op === 'string' && OPERATORS.has(value.op) ? undefined : '.op is not a comparison';
}

function ruleProblem(rule: unknown): string | undefined {
  if (!isObject(rule)) return 'is not an object';
  const { names, name, action, errnoRet, args } = rule;
  if (names === undefined ? typeof name !== 'string' || !CALL.test(name) : !isWords(names, CALL))
    return '.names is not a list of system calls';
  if (typeof action !== 'string' || !ACTIONS.has(action)) return `.action is not one of ${[...ACTIONS].join(', ')}`;
  if (errnoRet !== undefined && errnoRet !== null && !isCount(errnoRet, ERRNO_MAX)) return '.errnoRet is not an errno';
  if (args !== undefined && args !== null) {
    if (!Array.isArray(args)) return '.args is not a list';
    for (const [index, one] of args.entries()) {
      const problem = argumentProblem(one);
      if (problem !== undefined) return `.args[${index}]${spaced(problem)}`;
    }
  }
  for (const key of ['includes', 'excludes']) {
    const problem = conditionProblem(rule[key]);
    if (problem !== undefined) return `.${key}${spaced(problem)}`;
  }
  return undefined;
}

function spaced(problem: string): string {
  return problem.startsWith('.') ? problem : ` ${problem}`;
}

function architecturesProblem({ architectures, archMap }: Json): string | undefined {
  if (architectures !== undefined && architectures !== null && !isWords(architectures, ARCHITECTURE))
    return 'architectures is not a list of architectures';
  if (archMap === undefined || archMap === null) return undefined;
  if (!Array.isArray(archMap)) return 'archMap is not a list';
  const bad = archMap.findIndex(
    (entry) =>
      !isObject(entry) ||
      typeof entry.architecture !== 'string' ||
      !ARCHITECTURE.test(entry.architecture) ||
      (entry.subArchitectures !== undefined &&
        entry.subArchitectures !== null &&
        !isWords(entry.subArchitectures, ARCHITECTURE)),
  );
  return bad < 0 ? undefined : `archMap[${bad}] does not name architectures`;
}

function problemOf(value: unknown): string | undefined {
  if (!isObject(value)) return 'it is not an object';
  const unknown = Object.keys(value).find((key) => !KEYS.has(key));
  if (unknown !== undefined) return `${unknown} is not known here`;
  if (typeof value.defaultAction !== 'string' || !ACTIONS.has(value.defaultAction))
    return `defaultAction is not one of ${[...ACTIONS].join(', ')}`;
  if (value.defaultErrnoRet !== undefined && !isCount(value.defaultErrnoRet, ERRNO_MAX))
    return 'defaultErrnoRet is not an errno';
  const { syscalls = [] } = value;
  if (!Array.isArray(syscalls)) return 'syscalls is not a list';
  for (const [index, rule] of syscalls.entries()) {
    const problem = ruleProblem(rule);
    if (problem !== undefined) return `syscalls[${index}]${spaced(problem)}`;
  }
  return architecturesProblem(value);
}

/** Reads the text of a profile. What it may be made of is named in the file; anything else is a problem. */
export function parseSeccompProfile(text: string): ParsedSeccompProfile {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    return { ok: false, problem: `it is not JSON: ${(error as Error).message}` };
  }
  const problem = problemOf(value);
  if (problem !== undefined) return { ok: false, problem };
  // Every field was looked at above.
  const profile = value as SeccompProfile;
  return { ok: true, profile: { ...profile, syscalls: profile.syscalls ?? [] } };
}
