import type { CommandImplementation } from '../../command.ts';
import { serviceLogs } from '../service/service-logs.ts';

/** A job is a service. */
export const jobLogs: CommandImplementation = { ...serviceLogs, examples: ['swarm job logs --tail 20 backup'] };
