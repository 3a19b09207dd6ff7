/** The way from this node's agent to its own manager: the same messages as over the wire, without the wire. */
import type { BrokerConnection } from '#agent/publisher/index.ts';
import type { DispatcherStream } from '#agent/session/index.ts';
import { SwarmError } from '#common/errors.ts';
import { AsyncQueue } from '#common/system/async-queue.ts';
import type { AgentHello, SessionRequest, SessionResponse } from '#gen/swarm/v1/dispatcher.ts';
import type { DispatcherSession } from '#manager/dispatcher/index.ts';
import { leadingBroker } from './handlers/logs-handlers.ts';
import type { ServingAccess } from './handlers/manager-access.ts';
import { openSession } from './open-session.ts';

/** As many messages as a remote agent's stream may hold. */
const OUTPUT_MAX = 1000;
const LOCAL_ADDRESS = '127.0.0.1';

/** @throws SwarmError why this node's manager does not serve */
export function openLocalSession(manager: ServingAccess, nodeId: string): DispatcherStream {
  const serving = manager();
  const queue = new AsyncQueue<SessionResponse>(OUTPUT_MAX);
  const closing = new AbortController();
  let session: DispatcherSession | undefined;
  /** What the agent said between its hello and the moment that its session was there: it is quick to answer a welcome. */
  const early: SessionRequest[] = [];
  const open = async (hello: AgentHello): Promise<void> => {
    const output = {
      send: (message: SessionResponse): void => {
        if (!queue.offer(message)) queue.end();
      },
      end: () => queue.end(),
    };
    const opened = await openSession(serving, nodeId, hello, LOCAL_ADDRESS, output, closing.signal);
    if (opened === undefined) return;
    session = opened;
    for (const request of early.splice(0)) serving.dispatcher.receive(opened, request);
    if (queue.ended) serving.dispatcher.closed(opened);
  };
  return {
    send: (request: SessionRequest) => {
      if (queue.ended) return;
      const { message } = request;
      if (session !== undefined) serving.dispatcher.receive(session, request);
      else if (message?.kind === 'hello')
        open(message.value).catch((thrown: unknown) => queue.fail(SwarmError.from(thrown)));
      else early.push(request);
    },
    responses: queue,
    close: () => {
      closing.abort();
      if (session !== undefined) serving.dispatcher.closed(session);
      queue.end();
    },
  };
}

export function localBroker(manager: ServingAccess, nodeId: string): BrokerConnection {
  return {
    listen: (signal) => leadingBroker(manager).listen(nodeId, signal),
    publish: (messages) => leadingBroker(manager).publish(nodeId, messages),
  };
}
