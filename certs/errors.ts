import { SwarmError } from '#common/errors.ts';

/** A certificate, request or key that is malformed or breaks a rule. `what` names it: "certificate request". */
export function badCertificate(what: string, problem: string, hint?: string, cause?: unknown): SwarmError {
  return new SwarmError({
    code: 'invalid',
    reason: 'bad-certificate',
    message: `${what}: ${problem}`,
    hint,
    cause,
  });
}
