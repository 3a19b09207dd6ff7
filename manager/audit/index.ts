export { timeOf } from './audit-entry.ts';
export { type FileLine, linesOfLog, linesOfPath, type Verification, verifyLines } from './audit-files.ts';
export { AuditLog } from './audit-log.ts';
export { AuditWriter, type AuditWriterOptions } from './audit-writer.ts';
export { type AuditConfig, DEFAULT_AUDIT_CONFIG } from './config.ts';
export type { Refusal } from './refusals.ts';
