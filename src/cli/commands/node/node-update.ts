import type { NodeSpec } from '#gen/swarm/v1/specs.ts';
import { NodeAvailability, NodeRole, NodeSpec as NodeSpecCodec } from '#gen/swarm/v1/specs.ts';
import { CliError } from '../../cli-errors.ts';
import type { CommandImplementation, Invocation } from '../../command.ts';
import { printLine } from '../../context.ts';
import { type FlagValues, listFlag, valueFlag } from '../../flags.ts';
import { label, toRecord } from '../../values/key-values.ts';
import { oneOf } from '../../values/scalars.ts';

export const AVAILABILITIES = {
  active: NodeAvailability.ACTIVE,
  pause: NodeAvailability.PAUSE,
  drain: NodeAvailability.DRAIN,
};

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
  flags: [AVAILABILITY, LABEL_ADD, LABEL_RM, ROLE],
  examples: ['swarm node update --availability drain node-b', 'swarm node update --label-add zone=a node-b'],
  argumentKind: 'node',
  run: updateNode,
};

async function updateNode({ context, flags, arguments: [reference = ''] }: Invocation): Promise<void> {
  const api = await context.api();
  const { node } = await api.control.getNode({ reference });
  if (node === undefined) throw new CliError(`the daemon did not say what ${reference} is`);
  const spec = changedSpec(node.spec ?? NodeSpecCodec.create({ desiredRole: node.role }), flags);
  await api.control.updateNode({ id: node.id, version: node.version, spec });
  printLine(context, reference);
}

function changedSpec(spec: NodeSpec, flags: FlagValues): NodeSpec {
  const labels = { ...spec.labels, ...toRecord(flags.list(LABEL_ADD)) };
  for (const key of flags.list(LABEL_RM)) {
    if (!Object.hasOwn(labels, key)) throw new CliError(`key ${key} doesn't exist in node's labels`);
    delete labels[key];
  }
  return {
    ...spec,
    labels,
    availability: flags.value(AVAILABILITY) ?? spec.availability,
    desiredRole: flags.value(ROLE) ?? spec.desiredRole,
  };
}
