import type { RestoreSwarmRequest, RestoreSwarmResponse } from '#gen/swarm/v1/snapshot.ts';
import { CliError } from '../../cli-errors.ts';
import type { CommandImplementation, Invocation } from '../../command.ts';
import { type CliContext, printLine, printWarning } from '../../context.ts';
import { ADVERTISE_ADDR, DATA_PATH_ADDR, LISTEN_ADDR, SKIP_PREFLIGHT } from '../cluster/node-flags.ts';
import { inChunks } from '../image/chunks.ts';
import { KEY, KEY_FILE, keyTextOf } from './key-flags.ts';
import { nameOf, snapshotBytes } from './snapshot-bytes.ts';

export const snapshotRestore: CommandImplementation = {
  flags: [ADVERTISE_ADDR, DATA_PATH_ADDR, KEY, KEY_FILE, LISTEN_ADDR, SKIP_PREFLIGHT],
  examples: ['swarm snapshot restore --key-file swarm.key --advertise-addr 192.168.1.20 swarm.snapshot'],
  argumentKind: 'file',
  run: restore,
};

async function restore({ context, flags, arguments: [path = ''] }: Invocation): Promise<void> {
  const key = await keyTextOf(flags, context, path);
  if (key === undefined)
    throw new CliError('the snapshot key of the swarm that was saved is needed', {
      hint: 'give it with --key-file or --key: `swarm snapshot key` printed it on a manager of that swarm',
    });
  const api = await context.api();
  const response = await api.snapshots.restoreSwarm(
    requests(snapshotBytes(path, context), {
      key: key.trim(),
      fileName: nameOf(path),
      listenAddress: flags.value(LISTEN_ADDR) ?? '',
      advertiseAddress: flags.value(ADVERTISE_ADDR) ?? '',
      dataPathAddress: flags.value(DATA_PATH_ADDR) ?? '',
      skipPreflight: flags.isSet(SKIP_PREFLIGHT),
    }),
  );
  for (const warning of response.warnings) printWarning(context, `warning: ${warning}`);
  printOutcome(context, response);
}

type Options = Extract<NonNullable<RestoreSwarmRequest['message']>, { kind: 'options' }>['value'];

async function* requests(bytes: AsyncIterable<Uint8Array>, options: Options): AsyncGenerator<RestoreSwarmRequest> {
  yield { message: { kind: 'options', value: options } };
  for await (const chunk of inChunks(bytes)) yield { message: { kind: 'chunk', value: chunk } };
}

function printOutcome(context: CliContext, response: RestoreSwarmResponse): void {
  const { nodeId, clusterName, services, nodes, formerManagers, managerAddress } = response;
  printLine(context, `Swarm ${clusterName} restored: current node (${nodeId}) is now its only manager.\n`);
  printLine(context, `It has ${count(services, 'service')} and ${count(nodes, 'node')}, at ${managerAddress}.\n`);
  if (formerManagers.length > 0) {
    printLine(context, `These nodes were managers and are workers now: ${formerManagers.join(', ')}.`);
    printLine(
      context,
      'More than half of them together would go on as the swarm that they were: before they come back, run',
    );
    printLine(context, "'swarm leave --force' on each, and 'swarm node rm' here for those that stay away.\n");
  }
  printLine(
    context,
    'Nodes come back by themselves where an address of a manager that they know is one of this host; others',
  );
  printLine(
    context,
    "run 'swarm leave --force' and join again. Tasks of nodes that stay away are started elsewhere.\n",
  );
  printLine(
    context,
    "To add a node, run 'swarm join-token worker' or 'swarm join-token manager' and follow the instructions.",
  );
}

function count(number: number, what: string): string {
  return `${number} ${what}${number === 1 ? '' : 's'}`;
}
