import { randomBytes } from 'node:crypto';
import { ANONYMOUS_LABEL } from '#common/volume-names.ts';
import { VolumeSpec } from '#gen/swarm/v1/objects.ts';
import { CliError } from '../../cli-errors.ts';
import type { CommandImplementation, Invocation } from '../../command.ts';
import { printLine } from '../../context.ts';
import { listFlag, type Refusal, refusedFlag, stringFlag } from '../../flags.ts';
import { label, option, toRecord } from '../../values/key-values.ts';
import { collectFailures } from '../shared/each.ts';
import { DETACH_LONG, NODE } from './volume-flags.ts';
import { ALL_NODES, readyNodes, waitUntilMade } from './volume-nodes.ts';

const DRIVER = stringFlag({
  name: 'driver',
  short: 'd',
  usage: 'Specify volume driver name',
  shownDefault: '"local"',
});
const LABEL = listFlag({ name: 'label', usage: 'Set metadata for a volume', parse: label });
const OPT = listFlag({ name: 'opt', short: 'o', type: 'map', usage: 'Set driver specific options', parse: option });

/** Of what Docker has for cluster volumes. */
export const CSI: Refusal = {
  because: 'volumes belong to nodes: cluster volumes (CSI) are not part of this release',
  hint: 'use --driver with a volume plugin, or NFS: --opt type=nfs --opt o=addr=10.0.0.1 --opt device=:/export',
};
const CLUSTER_FLAGS = [
  'availability',
  'group',
  'limit-bytes',
  'required-bytes',
  'scope',
  'secret',
  'sharing',
  'topology-preferred',
  'topology-required',
  'type',
].map((name) => refusedFlag(name, true, CSI));

export const volumeCreate: CommandImplementation = {
  flags: [DETACH_LONG, DRIVER, LABEL, NODE, OPT, ...CLUSTER_FLAGS],
  examples: [
    'swarm volume create data',
    'swarm volume create --node worker-1 --node worker-2 --label tier=db data',
    '# on every node, from a server\nswarm volume create --node all --opt type=nfs --opt o=addr=10.0.0.1,rw --opt device=:/export shared',
    'swarm volume create --opt type=tmpfs --opt size=100m scratch',
  ],
  run: createVolume,
};

async function createVolume({ context, flags, arguments: [given = ''] }: Invocation): Promise<void> {
  const name = given === '' ? randomBytes(32).toString('hex') : given;
  const anonymous = given === '' ? { [ANONYMOUS_LABEL]: '' } : {};
  const spec = VolumeSpec.create({
    name,
    labels: { ...toRecord(flags.list(LABEL)), ...anonymous },
    driver: flags.value(DRIVER) ?? '',
    driverOptions: toRecord(flags.list(OPT)),
  });
  const api = await context.api();
  const wanted = flags.list(NODE);
  const nodes = wanted.includes(ALL_NODES) ? await readyNodes(api) : wanted.length === 0 ? ['self'] : wanted;
  const failures = collectFailures();
  const made: string[] = [];
  for (const node of nodes)
    await failures.attempt(async () => {
      const { volume } = await api.volumes.createVolume({ spec, node });
      if (volume === undefined) throw new CliError('the daemon did not say what it created');
      made.push(volume.id);
    });
  for (const id of flags.isSet(DETACH_LONG) ? [] : made)
    await failures.attempt(async () => {
      try {
        await waitUntilMade(context, id);
      } catch (thrown) {
        // Who has read why it cannot be made needs nothing that stands for it.
        if (thrown instanceof CliError) await api.volumes.removeVolume({ reference: id }).catch(() => {});
        throw thrown;
      }
    });
  failures.report();
  printLine(context, name);
}
