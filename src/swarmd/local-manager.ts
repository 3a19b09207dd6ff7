/** The way from this node's agent to its own manager: the same messages as over the wire, without the wire. */
import type { BrokerConnection } from '#agent/publisher/index.ts';
import type { DispatcherStream } from '#agent/session/index.ts';
import { SwarmError } from '#common/errors.ts';
import { AsyncQueue } from '#common/system/async-queue.ts';
import type { SessionRequest, SessionResponse } from '#gen/swarm/v1/dispatcher.ts';
import type { DispatcherSession } from '#manager/dispatcher/index.ts';
import type { ManagerRole } from './manager-role.ts';

/** As many messages as a remote agent's stream may hold. */
const OUTPUT_MAX = 1000;

export function openLocalSession(manager: () => ManagerRole, nodeId: string): DispatcherStream {
  const output = new AsyncQueue<SessionResponse>(OUTPUT_MAX);
  let session: DispatcherSession | undefined;
  const dispatcher = manager().dispatcher;
  const receive = (request: SessionRequest): void => {
    if (output.ended) return;
    if (session !== undefined) dispatcher.receive(session, request);
    else if (request.message?.kind === 'hello')
      session = dispatcher.open(nodeId, request.message.value, '127.0.0.1', {
        send: (message) => {
          if (!output.offer(message)) output.end();
        },
        end: () => output.end(),
      });
  };
  return {
    send: (request) => {
      try {
        receive(request);
      } catch (thrown) {
        output.fail(SwarmError.from(thrown));
      }
    },
    responses: output,
    close: () => {
      if (session !== undefined) dispatcher.closed(session);
      output.end();
    },
  };
}

export function localBroker(manager: () => ManagerRole, nodeId: string): BrokerConnection {
  return {
    listen: (signal) => manager().logBroker.listen(nodeId, signal),
    publish: (messages) => manager().logBroker.publish(nodeId, messages),
  };
}
