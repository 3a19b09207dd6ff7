import { SwarmError } from '#common/errors.ts';

/** The system's error code (`ENOSPC`), if the thrown value has one. */
export function systemCode(thrown: unknown): string | undefined {
  if (typeof thrown !== 'object' || thrown === null || !('code' in thrown)) return undefined;
  return typeof thrown.code === 'string' ? thrown.code : undefined;
}

const FULL = new Set(['ENOSPC', 'EDQUOT', 'EFBIG']);

/** Whether the disk, the quota or the file has no room left. */
export function isDiskFull(thrown: unknown): boolean {
  const code = systemCode(thrown);
  return (code !== undefined && FULL.has(code)) || (thrown instanceof SwarmError && thrown.reason === 'disk-full');
}

/** A failed disk operation as the error that stops the log. `doing` completes "the log stopped while ...". */
export function diskError(thrown: unknown, doing: string): SwarmError {
  if (thrown instanceof SwarmError) return thrown;
  const detail = thrown instanceof Error ? thrown.message : String(thrown);
  if (isDiskFull(thrown))
    return new SwarmError({
      code: 'exhausted',
      reason: 'disk-full',
      message: `no space left on the disk of the manager's log while ${doing}: ${detail}`,
      hint: 'free space on the disk that holds the state directory and restart swarmd; nothing acknowledged is lost',
      cause: thrown,
    });
  return new SwarmError({
    code: 'unavailable',
    reason: 'log-failed',
    message: `the manager's log stopped while ${doing}: ${detail}`,
    hint: "check the disk of the state directory (the kernel's log tells more) and restart swarmd",
    cause: thrown,
  });
}
