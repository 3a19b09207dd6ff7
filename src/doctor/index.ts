export { type Check, type DoctorContext, type Purpose, type Verdict } from './check.ts';
export { CHECKS } from './checks.ts';
export type { Host } from './host.ts';
export { hostContext } from './host-context.ts';
export { formatReport, reportExitCode, reportObjects } from './report.ts';
export { preflightRefusal, preflightWarnings, runChecks } from './run-checks.ts';
export { systemHost } from './system-host.ts';
