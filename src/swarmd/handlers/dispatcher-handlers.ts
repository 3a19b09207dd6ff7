import { SwarmError } from '#common/errors.ts';
import { AsyncQueue } from '#common/system/async-queue.ts';
import type { DispatcherService, SessionRequest, SessionResponse } from '#gen/swarm/v1/dispatcher.ts';
import type { Dispatcher, DispatcherSession } from '#manager/dispatcher/index.ts';
import type { CallContext } from '#proto/grpc/call-context.ts';
import type { Handlers } from '#proto/grpc/methods.ts';
import type { ManagerAccess } from './manager-access.ts';

/** Messages that wait for an agent that does not read: a full set for a node with 100,000 tasks still fits. */
const OUTPUT_MAX = 1000;

export function dispatcherHandlers(manager: ManagerAccess): Handlers<typeof DispatcherService> {
  return {
    session: (requests, context) => serveSession(manager().dispatcher, requests, context),
  };
}

async function* serveSession(
  dispatcher: Dispatcher,
  requests: AsyncIterable<SessionRequest>,
  context: CallContext,
): AsyncGenerator<SessionResponse> {
  const { caller } = context;
  if (caller.kind !== 'node')
    throw new SwarmError({ code: 'denied', reason: 'no-certificate', message: 'a session belongs to a node' });
  const output = new AsyncQueue<SessionResponse>(OUTPUT_MAX);
  const end = (): void => output.end();
  context.signal.addEventListener('abort', end, { once: true });
  const reading = readRequests(dispatcher, caller.nodeId, context.peer, requests, output).catch((thrown: unknown) =>
    output.fail(SwarmError.from(thrown)),
  );
  try {
    yield* output;
  } finally {
    context.signal.removeEventListener('abort', end);
    output.end();
    await reading;
  }
}

async function readRequests(
  dispatcher: Dispatcher,
  nodeId: string,
  peer: string,
  requests: AsyncIterable<SessionRequest>,
  output: AsyncQueue<SessionResponse>,
): Promise<void> {
  let session: DispatcherSession | undefined;
  try {
    for await (const request of requests) {
      if (output.ended) return;
      if (session !== undefined) dispatcher.receive(session, request);
      else if (request.message?.kind === 'hello')
        session = dispatcher.open(nodeId, request.message.value, hostOf(peer), {
          send: (message) => {
            if (!output.offer(message) && !output.ended)
              output.fail(
                new SwarmError({
                  code: 'exhausted',
                  reason: 'too-many',
                  message: `node ${nodeId} does not read its session`,
                }),
              );
          },
          end,
        });
      else
        throw new SwarmError({
          code: 'invalid',
          reason: 'bad-field',
          field: 'message',
          message: 'a session begins with hello',
        });
    }
  } finally {
    if (session !== undefined) dispatcher.closed(session);
    output.end();
  }
  function end(): void {
    output.end();
  }
}

/** 192.0.2.1 of 192.0.2.1:40312, ::1 of [::1]:40312. */
function hostOf(peer: string): string {
  return peer.replace(/:\d+$/, '').replace(/^\[(.*)\]$/, '$1');
}
