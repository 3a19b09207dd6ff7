/** Waits until a node that was promoted has its vote, or one that was demoted is out of the log. */
import { SwarmError } from '#common/errors.ts';
import { type Node, NodeState } from '#gen/swarm/v1/objects.ts';
import { NodeRole } from '#gen/swarm/v1/specs.ts';
import type { SwarmApi } from '../api.ts';
import { CliError } from '../cli-errors.ts';
import { pause } from '../commands/shared/pause.ts';
import type { CliContext } from '../context.ts';
import { mayPass } from './passing-errors.ts';
import { progressLines } from './progress-lines.ts';

export interface RoleWait {
  readonly context: CliContext;
  readonly node: Node;
  /** As the user calls the node, for messages. */
  readonly reference: string;
  readonly role: typeof NodeRole.MANAGER | typeof NodeRole.WORKER;
}

const POLL_MS = 200;
/** A renewal of the certificate, a snapshot of the state over the network, and the removal of a leader fit many times. */
const TIMEOUT_MS = 60_000;

/** Progress goes to standard error: what scripts read is Docker's line alone. Throws a CliError when time is up. */
export async function waitForRole({ context, node, reference, role }: RoleWait): Promise<'done' | 'interrupted'> {
  const api = await context.api();
  const lines = progressLines(context.stderr, context);
  const interrupted = new AbortController();
  const release = context.onInterrupt(() => interrupted.abort());
  const { clock } = context;
  const startMs = clock.monotonic();
  try {
    for (;;) {
      const waitsFor = await look(api, node.id, role);
      if (waitsFor === undefined) return 'done';
      lines.show({ id: reference, text: waitsFor });
      if (clock.monotonic() - startMs >= TIMEOUT_MS) throw tooLate(reference, role, waitsFor);
      await pause(context, POLL_MS, interrupted.signal);
      if (interrupted.signal.aborted) return 'interrupted';
    }
  } finally {
    release();
  }
}

/** What is waited for; undefined when the node has its role. */
async function look(api: SwarmApi, id: string, role: RoleWait['role']): Promise<string | undefined> {
  try {
    const { node } = await api.control.getNode({ reference: id });
    if (node === undefined) throw new CliError(`node ${id} was removed`);
    if (node.spec?.desiredRole !== role)
      throw new CliError(`node ${id} was told otherwise meanwhile`, { hint: 'see `swarm node inspect`' });
    return role === NodeRole.MANAGER ? missingForManager(node) : missingForWorker(node);
  } catch (thrown) {
    if (!(thrown instanceof SwarmError)) throw thrown;
    // It was this node that was demoted: it cannot be asked any more.
    if (thrown.reason === 'not-a-manager' && role === NodeRole.WORKER) return undefined;
    if (mayPass(thrown)) return `waiting for the managers to answer: ${thrown.message}`;
    throw thrown;
  }
}

function missingForManager({ role, status, managerStatus }: Node): string | undefined {
  if (status?.state === NodeState.DOWN || status?.state === NodeState.DISCONNECTED)
    return 'waiting for the node, which is down';
  if (role !== NodeRole.MANAGER) return 'waiting for the node to take a certificate with its new role';
  if (managerStatus === undefined) return 'waiting for the node to join the log of the managers';
  if (managerStatus.learner) return 'waiting for the node to catch up with the log of the managers';
  return undefined;
}

function missingForWorker({ role, managerStatus }: Node): string | undefined {
  if (managerStatus !== undefined && managerStatus.leader) return 'waiting for the node to hand over the lead';
  if (managerStatus !== undefined) return 'waiting for the node to leave the log of the managers';
  // Out of the log it is no manager, whatever its certificate still says when it is down.
  return role === NodeRole.MANAGER ? 'waiting for the role of the node to change' : undefined;
}

function tooLate(reference: string, role: RoleWait['role'], waitsFor: string): CliError {
  const what = role === NodeRole.MANAGER ? 'no manager' : 'still a manager';
  return new CliError(`node ${reference} is ${what} after ${TIMEOUT_MS / 1000} seconds: ${waitsFor}`, {
    hint: 'the swarm goes on trying: see `swarm node ls`, and `swarm info` on that node',
  });
}
