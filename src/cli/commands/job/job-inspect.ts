import type { CommandImplementation } from '../../command.ts';
import { serviceInspect } from '../service/service-inspect.ts';

/** A job is a service. */
export const jobInspect: CommandImplementation = { ...serviceInspect, examples: ['swarm job inspect --pretty backup'] };
