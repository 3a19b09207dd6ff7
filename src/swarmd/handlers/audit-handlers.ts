/** The audit log of this node, which stays when the node is no manager any more. */
import { type AuditService, ReadAuditResponse, VerifyAuditResponse } from '#gen/swarm/v1/audit.ts';
import { linesOfLog, timeOf, verifyLines } from '#manager/audit/index.ts';
import type { Handlers } from '#proto/grpc/methods.ts';

/** About 600 KiB in one answer. */
const PAGE_LINES = 1000;

export function auditHandlers(directory: string): Handlers<typeof AuditService> {
  return {
    readAudit: async function* ({ sinceMs, untilMs }) {
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
      const { lines, lastHash, problem = '' } = await verifyLines(linesOfLog(directory));
      return VerifyAuditResponse.create({ lines, lastHash, problem });
    },
  };
}
