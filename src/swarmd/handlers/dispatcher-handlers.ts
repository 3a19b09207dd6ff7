import { SwarmError } from '#common/errors.ts';
import { AsyncQueue } from '#common/system/async-queue.ts';
import type { DispatcherService, SessionRequest, SessionResponse } from '#gen/swarm/v1/dispatcher.ts';
import type { DispatcherSession, SessionOutput } from '#manager/dispatcher/index.ts';
import type { CallContext } from '#proto/grpc/call-context.ts';
import type { Handlers } from '#proto/grpc/methods.ts';
import { hostOf } from '../addresses.ts';
import { openSession } from '../open-session.ts';
import type { ServingAccess, ServingManager } from './manager-access.ts';

/** Messages that wait for an agent that does not read: a full set for a node with 100,000 tasks still fits. */
const OUTPUT_MAX = 1000;

export function dispatcherHandlers(manager: ServingAccess): Handlers<typeof DispatcherService> {
  return {
    session: (requests, context) => serveSession(manager(), requests, context),
  };
}

async function* serveSession(
  manager: ServingManager,
  requests: AsyncIterable<SessionRequest>,
  context: CallContext,
): AsyncGenerator<SessionResponse> {
  const { caller } = context;
  if (caller.kind !== 'node')
    throw new SwarmError({ code: 'denied', reason: 'no-certificate', message: 'a session belongs to a node' });
  const queue = new AsyncQueue<SessionResponse>(OUTPUT_MAX);
  const end = (): void => queue.end();
  context.signal.addEventListener('abort', end, { once: true });
  const reading = readRequests(manager, caller.nodeId, requests, context, queue).catch((thrown: unknown) =>
    queue.fail(SwarmError.from(thrown)),
  );
  try {
    yield* queue;
  } finally {
    context.signal.removeEventListener('abort', end);
    queue.end();
    await reading;
  }
}

async function readRequests(
  manager: ServingManager,
  nodeId: string,
  requests: AsyncIterable<SessionRequest>,
  context: CallContext,
  queue: AsyncQueue<SessionResponse>,
): Promise<void> {
  let session: DispatcherSession | undefined;
  const output: SessionOutput = {
    send: (message) => {
      if (!queue.offer(message) && !queue.ended)
        queue.fail(
          new SwarmError({
            code: 'exhausted',
            reason: 'too-many',
            message: `node ${nodeId} does not read its session`,
          }),
        );
    },
    end: () => queue.end(),
  };
  try {
    for await (const request of requests) {
      if (queue.ended) return;
      if (session !== undefined) manager.dispatcher.receive(session, request);
      else if (request.message?.kind === 'hello') {
        const hello = request.message.value;
        session = await openSession(manager, nodeId, hello, hostOf(context.peer), output, context.signal);
        if (session === undefined) return;
      } else
        throw new SwarmError({
          code: 'invalid',
          reason: 'bad-field',
          field: 'message',
          message: 'a session begins with hello',
        });
    }
  } finally {
    if (session !== undefined) manager.dispatcher.closed(session);
    queue.end();
  }
}
