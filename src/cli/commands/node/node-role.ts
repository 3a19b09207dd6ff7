/** `node promote` and `node demote`: Docker's words; unlike Docker's they wait until the node is what it was told. */
import { SwarmError } from '#common/errors.ts';
import { type Node, NodeState } from '#gen/swarm/v1/objects.ts';
import { NodeRole } from '#gen/swarm/v1/specs.ts';
import type { SwarmApi } from '../../api.ts';
import { EXIT_INTERRUPTED, SilentExit } from '../../cli-errors.ts';
import type { CommandImplementation, Invocation } from '../../command.ts';
import { type CliContext, printLine, printWarning } from '../../context.ts';
import { boolFlag } from '../../flags.ts';
import { waitForRole } from '../../progress/wait-for-role.ts';
import { collectFailures } from '../shared/each.ts';
import { writeNodeSpec } from './write-node-spec.ts';

const DETACH = boolFlag({
  name: 'detach',
  short: 'd',
  usage: 'Exit immediately instead of waiting for the node to take its role',
});

export const nodePromote: CommandImplementation = {
  flags: [DETACH],
  examples: ['swarm node promote node-b node-c'],
  argumentKind: 'node',
  run: (invocation) => changeRoles(invocation, NodeRole.MANAGER),
};

export const nodeDemote: CommandImplementation = {
  flags: [DETACH],
  examples: ['swarm node demote node-c'],
  argumentKind: 'node',
  run: (invocation) => changeRoles(invocation, NodeRole.WORKER),
};

export type WantedRole = typeof NodeRole.MANAGER | typeof NodeRole.WORKER;

/** One node after the other, so that a quorum is never asked to give up two members at once. */
async function changeRoles({ context, flags, arguments: given }: Invocation, role: WantedRole): Promise<void> {
  const api = await context.api();
  const failures = collectFailures();
  const references = role === NodeRole.WORKER ? await thisNodeLast(api, given) : given;
  for (const [index, reference] of references.entries()) {
    let isInterrupted = false;
    await failures.attempt(async () => {
      isInterrupted =
        (await changeRole(context, api, { reference, role, detach: flags.isSet(DETACH) })) === 'interrupted';
    });
    if (!isInterrupted) continue;
    tellInterrupted(context, role, reference, references.slice(index + 1));
    failures.report(EXIT_INTERRUPTED);
    throw new SilentExit(EXIT_INTERRUPTED);
  }
  failures.report();
}

interface RoleChange {
  /** As the user calls the node, for messages. */
  readonly reference: string;
  readonly role: WantedRole;
  /** Does not wait until the node has its role. */
  readonly detach: boolean;
}

async function changeRole(context: CliContext, api: SwarmApi, change: RoleChange): Promise<'done' | 'interrupted'> {
  const { reference, role, detach } = change;
  const node = await declareRole(context, api, reference, role);
  if (node === undefined) return 'done';
  const state = node.status?.state;
  const isAway = role === NodeRole.MANAGER && (state === NodeState.DOWN || state === NodeState.DISCONNECTED);
  if (isAway) warnOfAbsence(context, reference);
  if (!detach && !isAway && (await waitForRole({ context, node, reference, role })) === 'interrupted')
    return 'interrupted';
  printLine(
    context,
    role === NodeRole.MANAGER
      ? `Node ${reference} promoted to a manager in the swarm.`
      : `Manager ${reference} demoted in the swarm.`,
  );
  return 'done';
}

/** Nodes that come later are not told at all: without waiting, several of them would change at once. */
function tellInterrupted(context: CliContext, role: WantedRole, reference: string, later: readonly string[]): void {
  const word = role === NodeRole.MANAGER ? 'promoted' : 'demoted';
  printWarning(context, `Operation continuing in background: node ${reference} is being ${word}.`);
  if (later.length > 0) printWarning(context, `Not ${word}: ${later.join(', ')}.`);
}

/** A daemon that is no manager any more could not demote the others that were named. */
async function thisNodeLast(api: SwarmApi, references: readonly string[]): Promise<readonly string[]> {
  if (references.length < 2) return references;
  const self = await idOf(api, 'self');
  const others: string[] = [];
  const own: string[] = [];
  for (const reference of references) {
    const isOwn = self !== undefined && (await idOf(api, reference)) === self;
    (isOwn ? own : others).push(reference);
  }
  return [...others, ...own];
}

/** Undefined where that cannot be said: what is wrong is told when it is the node's turn. */
async function idOf(api: SwarmApi, reference: string): Promise<string | undefined> {
  try {
    return (await api.control.getNode({ reference })).node?.id;
  } catch (thrown) {
    if (thrown instanceof SwarmError) return undefined;
    throw thrown;
  }
}

/** Nobody can tell when it comes back, or whether: waiting for it would only end in an error. */
function warnOfAbsence(context: CliContext, reference: string): void {
  printWarning(
    context,
    `warning: node ${reference} is down: the promotion is recorded, and takes effect when the node is back`,
  );
}

/** Writes the role that the node should have; undefined when it should have it already. */
async function declareRole(
  context: CliContext,
  api: SwarmApi,
  reference: string,
  role: WantedRole,
): Promise<Node | undefined> {
  const { node, isWritten } = await writeNodeSpec(api, reference, (spec) =>
    spec.desiredRole === role ? undefined : { ...spec, desiredRole: role },
  );
  if (isWritten) return node;
  printLine(context, `Node ${node.id} is already a ${role === NodeRole.MANAGER ? 'manager' : 'worker'}.`);
  return undefined;
}
