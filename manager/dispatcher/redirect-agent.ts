import { ManagerList, SessionEndReason, SessionResponse } from '#gen/swarm/v1/dispatcher.ts';
import type { ManagerPeer } from '#gen/swarm/v1/objects.ts';
import { endOf, type SessionOutput } from './dispatcher-session.ts';

/** Answers an agent that has come to a manager which does not lead: who the managers are, and who leads if known. */
export function redirectAgent(
  output: SessionOutput,
  managers: readonly ManagerPeer[],
  leader: ManagerPeer | undefined,
): void {
  const list = ManagerList.create({ managers });
  output.send(SessionResponse.create({ message: { kind: 'managers', value: list } }));
  const message =
    leader === undefined ? 'the swarm has no leader at the moment' : `the manager at ${leader.address} leads`;
  output.send(endOf(SessionEndReason.NOT_LEADER, message, leader));
  output.end();
}
