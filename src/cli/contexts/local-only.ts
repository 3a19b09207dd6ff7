/** What a context cannot do: services of the daemon that are for the machine it runs on. */
import type { ServiceDefinition } from '#proto/codec.ts';
import type { Client } from '#proto/grpc/methods.ts';
import { CliError } from '../cli-errors.ts';

/** A client of the service of which every method says why not. `why` completes "... does not work over a context: ". */
export function localOnly<const S extends ServiceDefinition>(service: S, context: string, why: string): Client<S> {
  const refuse = (): never => {
    throw refusalOverContext(context, why);
  };
  // Every method of the service is there, which the compiler does not see.
  return Object.fromEntries<unknown>(Object.keys(service).map((name) => [name, refuse])) as Client<S>;
}

/** `why` completes "... does not work over a context: ". */
export function refusalOverContext(context: string, why: string): CliError {
  return new CliError(`this does not work over context ${JSON.stringify(context)}: ${why}`, {
    hint: 'log in to the machine and run it there; for the daemon of this one: swarm --context default ...',
  });
}
