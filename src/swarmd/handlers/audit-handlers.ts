/** The audit log of this node, which stays when the node is no manager any more. */
import { withDeadline } from '#common/system/deadline.ts';
import { type AuditService, ReadAuditResponse, VerifyAuditResponse } from '#gen/swarm/v1/audit.ts';
import { linesOfLog, timeOf, verifyLines } from '#manager/audit/index.ts';
import type { Handlers } from '#proto/grpc/methods.ts';

/** About 600 KiB in one answer. */
const PAGE_LINES = 1000;

/** A disk that does not answer within that time is not waited for: what is in the file is shown. */
const FLUSH_TIMEOUT_MS = 1000;

/** `flush` brings what waits to be written into the file; it throws, or rejects, where no manager is up that writes it. */
export function auditHandlers(directory: string, flush: () => Promise<void>): Handlers<typeof AuditService> {
  const whenWritten = async (): Promise<void> => {
    try {
      await withDeadline(flush(), FLUSH_TIMEOUT_MS, 'the audit log to be written');
    } catch {
      // The file of a node that is a worker by now, or of a manager in trouble, is a record all the same.
    }
  };
  return {
    readAudit: async function* ({ sinceMs, untilMs }) {
      await whenWritten();
      let lines: string[] = [];
      for await (const { text } of linesOfLog(directory)) {
        // A line without a time was changed: it is shown whatever was asked for.
        const timeMs = timeOf(text);
        if (timeMs !== undefined && ((sinceMs > 0 && timeMs < sinceMs) || (untilMs > 0 && timeMs > untilMs))) continue;
        lines.push(text);
        if (lines.length < PAGE_LINES) continue;
        yield ReadAuditResponse.create({ lines });
        lines = [];
      }
      yield ReadAuditResponse.create({ lines });
    },
    verifyAudit: async () => {
      await whenWritten();
      const { lines, lastHash, problem = '' } = await verifyLines(linesOfLog(directory));
      return VerifyAuditResponse.create({ lines, lastHash, problem });
    },
  };
}
