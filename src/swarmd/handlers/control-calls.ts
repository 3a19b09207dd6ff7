/** How a manager answers calls of the declarative API: reads by itself once it has caught up, writes through the leader. */
import type { ControlApi, ControlCaller } from '#manager/control/index.ts';
import type { ServiceDefinition } from '#proto/codec.ts';
import type { CallContext } from '#proto/grpc/call-context.ts';
import { createClient } from '#proto/grpc/client.ts';
import type { CallOptions, Client } from '#proto/grpc/methods.ts';
import { authorOf, caughtUp, type ServingManager } from './manager-access.ts';

/** Who asks, and, of clients, as what. */
export function controlCallerOf(context: CallContext, serving: ServingManager): ControlCaller {
  const author = authorOf(context, serving);
  const { caller } = context;
  if (caller.kind !== 'client') return { author };
  const { clientId, role, serial } = caller;
  return { author, client: { clientId, role, serial } };
}

export async function read<T>(
  serving: ServingManager,
  context: CallContext,
  answer: (api: ControlApi, by: ControlCaller) => Promise<T>,
): Promise<T> {
  await caughtUp(serving, context);
  return answer(serving.control, controlCallerOf(context, serving));
}

export async function* list<T>(
  serving: ServingManager,
  context: CallContext,
  answer: (api: ControlApi, by: ControlCaller) => AsyncIterable<T>,
): AsyncGenerator<T> {
  await caughtUp(serving, context);
  yield* answer(serving.control, controlCallerOf(context, serving));
}

/** One write, as the leader decides it, and as another manager asks the leader for it. */
interface Write<S extends ServiceDefinition, T> {
  readonly local: (api: ControlApi, by: ControlCaller) => Promise<T>;
  readonly remote: (leader: Client<S>, options: CallOptions) => Promise<T>;
}

/** What brings the writes of one service of the contract to the leader. */
export function writesOf<const S extends ServiceDefinition>(
  service: S,
): <T>(serving: ServingManager, context: CallContext, call: Write<S, T>) => Promise<T> {
  return (serving, context, call) =>
    serving.leaderCalls.unary(context, {
      local: () => call.local(serving.control, controlCallerOf(context, serving)),
      remote: (transport, options) => call.remote(createClient(service, transport), options),
    });
}
