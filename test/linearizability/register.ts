import type { Operation } from './history.ts';

/** What a key holds: undefined value for nothing. */
export interface Register {
  readonly value: string | undefined;
  /** Of the write that made this value, when `known`; otherwise the version is above this one. */
  readonly version: number;
  readonly known: boolean;
  /** Versions that it cannot have, where it is not known: somebody was refused who expected them. */
  readonly not: readonly number[];
  /** What made it, for explanations. */
  readonly by: Operation | undefined;
}

export const EMPTY_REGISTER: Register = { value: undefined, version: 0, known: false, not: [], by: undefined };

/** Equal for registers that no operation can tell apart. */
export function registerText({ value, version, known, not }: Register): string {
  return `${known ? '=' : '>'}${version}!${not.join(',')} ${value === undefined ? '' : `'${value}`}`;
}

/**
 * The register after the operation took effect, or undefined if the operation cannot have had its outcome there. The
 * model: versions of a key rise with each of its writes and are never used twice.
 */
export function step(register: Register, operation: Operation): Register | undefined {
  const { kind, result } = operation;
  if (result.outcome === 'failed') return register;
  if (kind === 'read') return result.outcome === 'ok' ? read(register, result) : register;
  if (result.outcome === 'refused') return refuse(register, operation);
  if (!admits(register, operation)) return undefined;
  return written(register, operation, result.outcome === 'ok' ? result.version : undefined);
}

function read(
  register: Register,
  { value, version }: { readonly value?: string | null | undefined; readonly version?: number | undefined },
): Register | undefined {
  if ((value ?? undefined) !== register.value) return undefined;
  if (version === undefined || register.value === undefined) return register;
  if (!mayHaveVersion(register, version)) return undefined;
  return register.known ? register : { ...register, version, known: true, not: [] };
}

function mayHaveVersion(register: Register, version: number): boolean {
  if (register.known) return version === register.version;
  return version > register.version && !register.not.includes(version);
}

/** Whether the operation's condition can hold. */
function admits(register: Register, { kind, expected }: Operation): boolean {
  if (kind === 'write') return true;
  if (kind === 'create') return register.value === undefined;
  if (register.value === undefined) return false;
  if (kind === 'delete') return true;
  if (expected?.value !== undefined && expected.value !== register.value) return false;
  return expected?.version === undefined || mayHaveVersion(register, expected.version);
}

/** The register, with what a refusal tells about it. */
function refuse(register: Register, operation: Operation): Register | undefined {
  const { kind, expected } = operation;
  if (kind === 'write') return undefined;
  if (kind === 'create') return register.value === undefined ? undefined : register;
  if (register.value === undefined) return register;
  if (kind === 'delete') return undefined;
  if (!admits(register, operation)) return register;
  // Of a version that is not known, it must have been another.
  if (register.known || expected?.version === undefined) return undefined;
  return { ...register, not: [...register.not, expected.version].sort((left, right) => left - right) };
}

function written(register: Register, operation: Operation, made: number | undefined): Register | undefined {
  const { kind, expected, value } = operation;
  const floor = kind === 'compare-and-set' ? Math.max(register.version, expected?.version ?? 0) : register.version;
  if (made !== undefined && made <= floor) return undefined;
  return {
    value: kind === 'delete' ? undefined : (value ?? ''),
    version: made ?? floor,
    known: made !== undefined,
    not: [],
    by: operation,
  };
}
