import { SwarmError } from '#common/errors.ts';

/** The daemon is a worker's, which knows of its own containers and nothing else of the swarm. */
export function isOnWorker(thrown: unknown): boolean {
  return thrown instanceof SwarmError && thrown.reason === 'not-a-manager';
}
