/** A connection to a swarm, made of the bundle of a client and the .proto files: nothing else of Starling is needed. */
import { readFileSync } from 'node:fs';
import { isIP } from 'node:net';
import { join } from 'node:path';
import * as grpc from '@grpc/grpc-js';
import { loadSync } from '@grpc/proto-loader';

/** Where the .proto files are; in a project of yours, wherever you have copied them to. */
const PROTO = process.env.SWARM_PROTO ?? join(import.meta.dirname, '../../proto');

/** JSON in, JSON out: numbers of 64 bits are text, enums are their names, bytes are base64. */
const definitions = loadSync(
  ['clients', 'control', 'events', 'health', 'jobs', 'logs', 'rollouts', 'secrets', 'stacks', 'volumes', 'watch'].map(
    (name) => `swarm/v1/${name}.proto`,
  ),
  { includeDirs: [PROTO], keepCase: false, longs: String, enums: String, bytes: String, defaults: true, oneofs: true },
);

export type Json = Readonly<Record<string, unknown>>;

export interface Swarm {
  /** One answer. */
  call(service: string, method: string, request?: Json): Promise<Json>;
  /** Answers as they come. Leaving the loop ends the call. */
  stream(service: string, method: string, request?: Json): AsyncIterable<Json>;
  close(): void;
}

/** `bundle`: the directory that `swarm client create` wrote, or the one of a context. */
export function connect(bundle: string): Swarm {
  const file = (name: string): Buffer => readFileSync(join(bundle, name));
  const { addresses, serverName } = JSON.parse(file('context.json').toString()) as {
    addresses: string[];
    serverName: string;
  };
  const credentials = grpc.credentials.createSsl(file('ca.pem'), file('key.pem'), file('cert.pem'));
  const target = targetOf(addresses);
  const options = { 'grpc.ssl_target_name_override': serverName, 'grpc.default_authority': serverName };
  const clients = new Map<string, grpc.Client>();

  function methodOf(service: string, method: string): { client: grpc.Client; name: string } {
    const full = service.includes('.') ? service : `swarm.v1.${service}`;
    const definition = definitions[full];
    if (definition === undefined || !(method in definition)) throw new Error(`there is no method ${full}/${method}`);
    let client = clients.get(full);
    if (client === undefined) {
      const Client = grpc.makeGenericClientConstructor(definition as grpc.ServiceDefinition, full);
      client = new Client(target, credentials, options);
      clients.set(full, client);
    }
    return { client, name: method };
  }

  return {
    call: (service, method, request = {}) => {
      const { client, name } = methodOf(service, method);
      const deadline = Date.now() + 30_000;
      return new Promise((resolve, reject) => {
        const open = typed<(...values: unknown[]) => void>(client, name);
        open.call(
          client,
          request,
          new grpc.Metadata({ waitForReady: true }),
          { deadline },
          (error: Error | null, answer: Json) => (error === null ? resolve(answer) : reject(error)),
        );
      });
    },
    async *stream(service, method, request = {}) {
      const { client, name } = methodOf(service, method);
      const open = typed<(request: Json) => grpc.ClientReadableStream<Json>>(client, name);
      const answers = open.call(client, request);
      try {
        for await (const answer of answers) yield answer as Json;
      } finally {
        answers.on('error', () => {}); // that it was cancelled
        answers.cancel();
      }
    },
    close: () => {
      for (const client of clients.values()) client.close();
    },
  };
}

/** A method of a client that is made from a .proto file: it has no type before the program runs. */
function typed<M>(client: grpc.Client, name: string): M {
  const method = (client as never as Record<string, M | undefined>)[name]; // grpc-js makes them at run time
  if (method === undefined) throw new Error(`there is no method ${name}`);
  return method;
}

/**
 * Where gRPC finds managers, which all serve alike: it takes the first that answers, and the next when that one goes away.
 * One target has addresses of one kind, so those of the first one's kind are taken; of names it takes one.
 */
export function targetOf(addresses: readonly string[]): string {
  const kindOf = (address: string): number => isIP(address.replace(/:\d+$/, '').replace(/^\[|\]$/g, ''));
  const [first] = addresses;
  if (first === undefined) throw new Error('the bundle names no managers');
  const kind = kindOf(first);
  if (kind === 0) return `dns:///${first}`;
  return `ipv${kind}:${addresses.filter((address) => kindOf(address) === kind).join(',')}`;
}
