import { SwarmError } from '#common/errors.ts';
import { NodeRole, NodeSpec } from '#gen/swarm/v1/specs.ts';
import type { SwarmApi } from '../../api.ts';
import { CliError } from '../../cli-errors.ts';
import type { CommandImplementation, Invocation } from '../../command.ts';
import { printLine, printWarning } from '../../context.ts';
import { type FlagValues, listFlag, valueFlag } from '../../flags.ts';
import { waitForDrain } from '../../progress/wait-for-drain.ts';
import { label, toRecord } from '../../values/key-values.ts';
import { oneOf } from '../../values/scalars.ts';
import { AVAILABILITIES } from './availabilities.ts';
import { drainOf, PARALLEL, TIMEOUT, WAIT } from './drain-flags.ts';

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

/** A change of the node in between is read again; more often than this somebody works against us. */
const ATTEMPTS = 8;

async function updateNode({ context, flags, arguments: [reference = ''] }: Invocation): Promise<void> {
  const id = await writeSpec(await context.api(), reference, flags);
  if (flags.isSet(WAIT)) {
    const timeoutMs = flags.value(TIMEOUT);
    const outcome = await waitForDrain({ context, nodeId: id, reference, timeoutMs });
    if (outcome === 'interrupted')
      printWarning(context, `Operation continuing in background: node ${reference} is being drained.`);
  }
  printLine(context, reference);
}

/** Everything at once or nothing: one write, decided on the node as it is then. */
async function writeSpec(api: SwarmApi, reference: string, flags: FlagValues): Promise<string> {
  for (let attempt = 1; ; attempt++) {
    const { node } = await api.control.getNode({ reference });
    if (node === undefined) throw new CliError(`the daemon did not say what ${reference} is`);
    const spec = changedSpec(node.spec ?? NodeSpec.create({ desiredRole: node.role }), flags);
    try {
      await api.control.updateNode({ id: node.id, version: node.version, spec });
      return node.id;
    } catch (thrown) {
      const isStale = thrown instanceof SwarmError && thrown.reason === 'out-of-sequence';
      if (!isStale || attempt >= ATTEMPTS) throw thrown;
    }
  }
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
