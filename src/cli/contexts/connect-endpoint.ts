/** Opens the connection that a command line needs. What it takes is loaded then: help and mistakes do without. */
import type { SwarmApi } from '../api.ts';
import type { CliEnvironment } from '../environment.ts';
import type { Endpoint } from './choose-endpoint.ts';

export async function connectEndpoint(endpoint: Endpoint, environment: CliEnvironment): Promise<SwarmApi> {
  if (endpoint.kind === 'socket') return (await import('../../client/local.ts')).connectLocal(endpoint.path);
  return (await import('./connect-context.ts')).connectContext(endpoint.name, environment);
}
