import { NodeAvailability } from '#gen/swarm/v1/specs.ts';

/** As users write them. */
export const AVAILABILITIES = {
  active: NodeAvailability.ACTIVE,
  pause: NodeAvailability.PAUSE,
  drain: NodeAvailability.DRAIN,
};
