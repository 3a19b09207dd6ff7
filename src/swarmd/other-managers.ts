/** Whether the managers of the swarm go on without this one: before it is made the only one, by force. */
import { NodeChannelCredentials } from '#certs/tls.ts';
import { SwarmError } from '#common/errors.ts';
import { ControlService } from '#gen/swarm/v1/control.ts';
import type { RaftLog } from '#manager/raft/index.ts';
import { createClient } from '#proto/grpc/client.ts';
import { GrpcTransport } from '#proto/grpc/grpc-transport.ts';
import type { ActiveNode } from './active-node.ts';
import type { ManagerPart } from './manager-part.ts';
import type { NodeIdentity } from './node-identity.ts';

/** Longer than a leader needs to notice that it has lost the others, and than an election takes. */
const READ_TIMEOUT_MS = 5_000;

/** What a manager says to one that serves, and is none of the swarm's any more. */
const NOT_OURS: ReadonlySet<string> = new Set(['node-removed', 'wrong-role']);

export interface AskedPart extends Pick<ManagerPart, 'settled' | 'failure'> {
  readonly serving: { readonly log: Pick<RaftLog, 'members' | 'readBarrier'> } | undefined;
}

/** As much of an active node as is asked. */
export interface AskedNode extends Pick<ActiveNode, 'otherManagers'> {
  readonly nodeIdentity: Pick<NodeIdentity, 'tls' | 'clusterId'>;
  readonly managerPart: AskedPart | undefined;
}

/**
 * Beside managers that go on, one that is made alone would be a second swarm with the same nodes: both would give them
 * tasks. A read that is answered proves that there is a quorum, whoever answers it. This manager is given time to serve,
 * for its log knows the others best; then all that are known are asked, too.
 * @throws SwarmError `in-use` where there is a quorum; `node-removed` or `wrong-role` where this node is no manager any
 *   more; why this manager will never serve, for it could not go on alone either
 */
export async function refuseBesideOthers(node: AskedNode, patienceMs: number): Promise<void> {
  const part = node.managerPart;
  await part?.settled(patienceMs);
  if (part?.failure !== undefined) throw part.failure;
  const log = part?.serving?.log;
  const voters = log?.members().filter(({ voter, self }) => voter && !self) ?? [];
  // Alone already: who else is known has no part in its swarm any more.
  if (log !== undefined && voters.length === 0) return;
  const members = voters.map(({ address }) => address);
  const addresses = [...new Set([...members, ...node.otherManagers()])].sort();
  const own = log?.readBarrier({ timeoutMs: READ_TIMEOUT_MS }).then(
    () => hasQuorum(addresses),
    () => undefined,
  );
  const refusals = await Promise.all([own, ...addresses.map((address) => ask(node.nodeIdentity, address))]);
  for (const refusal of refusals) if (refusal !== undefined) throw refusal;
}

/** Asks the manager for something that needs a quorum. Resolves with why this one may not go on alone. */
async function ask({ tls, clusterId }: AskedNode['nodeIdentity'], address: string): Promise<SwarmError | undefined> {
  const transport = new GrpcTransport({
    target: { kind: 'address', name: address },
    credentials: new NodeChannelCredentials({
      kind: 'member',
      identity: tls,
      expect: { role: 'manager', clusterId },
    }),
  });
  try {
    await createClient(ControlService, transport).getCluster({}, { timeoutMs: READ_TIMEOUT_MS });
    return hasQuorum([address]);
  } catch (thrown) {
    const error = SwarmError.from(thrown);
    return error.code === 'denied' && NOT_OURS.has(error.reason) ? noManager(address, error) : undefined;
  } finally {
    transport.close();
  }
}

function hasQuorum(addresses: readonly string[]): SwarmError {
  return new SwarmError({
    code: 'precondition',
    reason: 'in-use',
    message: `The swarm has a leader and a quorum: going on alone beside the other managers (${addresses.join(', ')}) would make two swarms of it`,
    hint: 'demote the managers that are not wanted: `swarm node demote NODE`',
  });
}

function noManager(address: string, error: SwarmError): SwarmError {
  return new SwarmError({
    code: 'precondition',
    reason: error.reason,
    message: `The manager at ${address} goes on, and does not take this node for one (${error.message}): going on alone beside it would make two swarms`,
    hint: 'leave it to that manager, or stop it first if this one is to go on instead',
    cause: error,
  });
}
