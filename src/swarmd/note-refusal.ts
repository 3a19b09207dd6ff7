/** Calls of the cluster port that were refused go into the audit log: wrong tokens, removed nodes, methods of others. */
import type { AuditWriter } from '#manager/audit/index.ts';
import { describeCaller } from '#proto/grpc/caller.ts';
import type { FinishedCall } from '#proto/grpc/server.ts';

/** Refused for who called, not for what was asked for. */
const REFUSED: ReadonlySet<string> = new Set(['denied', 'unauthenticated']);

export function noteRefusal(
  manager: () => { readonly audit: Pick<AuditWriter, 'refused'> },
  { path, caller, peer, error }: Pick<FinishedCall, 'path' | 'caller' | 'peer' | 'error'>,
): void {
  if (error === undefined || !REFUSED.has(error.code)) return;
  let audit: Pick<AuditWriter, 'refused'>;
  try {
    ({ audit } = manager());
  } catch {
    return; // the manager is not up: it has no audit log to write to
  }
  audit.refused({ method: path, caller: describeCaller(caller), peer, reason: error.reason });
}
