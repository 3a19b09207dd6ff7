import { NodeRole, type NodeSpec } from '#gen/swarm/v1/specs.ts';
import { CliError, EXIT_INTERRUPTED, SilentExit } from '../../cli-errors.ts';
import type { CommandImplementation, Invocation } from '../../command.ts';
import { printLine, printWarning } from '../../context.ts';
import { type FlagValues, listFlag, valueFlag } from '../../flags.ts';
import { waitForDrain } from '../../progress/wait-for-drain.ts';
import { label, toRecord } from '../../values/key-values.ts';
import { oneOf } from '../../values/scalars.ts';
import { AVAILABILITIES } from './availabilities.ts';
import { drainOf, PARALLEL, TIMEOUT, WAIT } from './drain-flags.ts';
import { writeNodeSpec } from './write-node-spec.ts';

const AVAILABILITY = valueFlag({
  name: 'availability',
  type: 'string',
  usage: 'Availability of the node ("active", "pause", "drain")',
  completions: Object.keys(AVAILABILITIES),
  parse: oneOf(AVAILABILITIES, (text) => `invalid availability ${JSON.stringify(text)}`),
});
const LABEL_ADD = listFlag({ name: 'label-add', usage: 'Add or update a node label ("key=value")', parse: label });
const LABEL_RM = listFlag({ name: 'label-rm', usage: 'Remove a node label if exists' });
const ROLE = valueFlag({
  name: 'role',
  type: 'string',
  usage: 'Role of the node ("worker", "manager")',
  completions: ['worker', 'manager'],
  parse: oneOf(
    { worker: NodeRole.WORKER, manager: NodeRole.MANAGER },
    (text) => `invalid role ${JSON.stringify(text)}`,
  ),
});

export const nodeUpdate: CommandImplementation = {
  flags: [AVAILABILITY, LABEL_ADD, LABEL_RM, PARALLEL, ROLE, TIMEOUT, WAIT],
  examples: [
    'swarm node update --availability drain node-b',
    'swarm node update --availability drain --parallel 2 --wait --timeout 10m node-b',
    'swarm node update --label-add zone=a node-b',
  ],
  argumentKind: 'node',
  run: updateNode,
};

async function updateNode({ context, flags, arguments: [reference = ''] }: Invocation): Promise<void> {
  const { node } = await writeNodeSpec(await context.api(), reference, (spec) => changedSpec(spec, flags));
  if (flags.isSet(WAIT)) {
    const timeoutMs = flags.value(TIMEOUT);
    const outcome = await waitForDrain({ context, nodeId: node.id, reference, timeoutMs });
    if (outcome === 'interrupted') {
      printWarning(context, `Operation continuing in background: node ${reference} is being drained.`);
      // The node's name and exit 0 say that it is empty, which a script believes.
      throw new SilentExit(EXIT_INTERRUPTED);
    }
  }
  printLine(context, reference);
}

function changedSpec(spec: NodeSpec, flags: FlagValues): NodeSpec {
  const labels = { ...spec.labels, ...toRecord(flags.list(LABEL_ADD)) };
  for (const key of flags.list(LABEL_RM)) {
    if (!Object.hasOwn(labels, key)) throw new CliError(`key ${key} doesn't exist in node's labels`);
    delete labels[key];
  }
  const availability = flags.value(AVAILABILITY) ?? spec.availability;
  return {
    ...spec,
    labels,
    availability,
    desiredRole: flags.value(ROLE) ?? spec.desiredRole,
    drain: drainOf(flags, availability, spec),
  };
}
