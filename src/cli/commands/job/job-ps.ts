import type { CommandImplementation } from '../../command.ts';
import { servicePs } from '../service/service-ps.ts';

/** A job is a service. */
export const jobPs: CommandImplementation = { ...servicePs, examples: ['swarm job ps backup'] };
