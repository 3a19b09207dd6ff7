import { SwarmError } from '#common/errors.ts';
import type { Logger } from '#common/log.ts';
import type { RaftMember } from '#gen/swarm/v1/raft.ts';
import type { PeerHandler } from './peer-transport.ts';
import type { RaftEngine } from './raft-engine.ts';

export interface PeerDoorOptions {
  /** The running log; undefined until it is recovered and after it stopped. */
  readonly engine: () => RaftEngine | undefined;
  readonly self: () => RaftMember | undefined;
  readonly logger: Logger;
}

/** What comes in from the other managers. */
export function peerDoor({ engine, self, logger }: PeerDoorOptions): PeerHandler {
  return {
    self,
    hello: (hello, nodeId) => engine()?.peers.hello(hello.from, hello.to, nodeId) ?? notReady(),
    isNamed: (raftId, nodeId) => engine()?.book.member(raftId)?.nodeId === nodeId,
    forget: (raftId) => engine()?.peers.forget(raftId),
    messages(from, messages) {
      const running = engine();
      if (running === undefined) return;
      running.peers.heard(from);
      running.pump.step((node) => {
        for (const message of messages) if (message.from === from) node.step(message);
      });
    },
    async snapshot(from, message, chunks) {
      const running = engine();
      if (running === undefined || message.from !== from) throw notReady();
      const { pump, snapshots } = running;
      // While one replaces the log, nobody knows whether the next is needed.
      await snapshots.quiet();
      const offer = (): void => {
        pump.step((node) => node.step(message));
        pump.drain();
      };
      // What is in the log already needs no snapshot: the node tells the leader how far it is.
      if ((message.snapshot?.index ?? 0) <= pump.node.committed) offer();
      else await snapshots.receive(message, chunks, offer);
    },
    unreachable: (raftId) => engine()?.pump.step((node) => node.reportUnreachable(raftId)),
    gone: (raftId) => engine()?.leaderGone(raftId),
    refused(raftId, error) {
      if (error.reason === 'node-removed') engine()?.toldRemoved(error, raftId);
      else logger.warn('a manager refused this one', { raftId, error: error.message });
    },
    changed: () => engine()?.reachabilityChanged(),
  };
}

function notReady(): SwarmError {
  return new SwarmError({
    code: 'unavailable',
    reason: 'not-a-manager',
    message: 'this node does not take part in the log yet',
    hint: 'try again in a moment',
  });
}
