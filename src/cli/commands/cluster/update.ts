import type { CommandImplementation, Invocation } from '../../command.ts';
import { printLine, printWarning } from '../../context.ts';
import { AUTOLOCK, CLUSTER_FLAGS, clusterSpecOf } from './cluster-flags.ts';
import { withExternalCas } from './root-flags.ts';
import { unlockText } from './unlock-text.ts';

export const update: CommandImplementation = {
  flags: CLUSTER_FLAGS,
  examples: [
    'swarm update --task-history-limit 10',
    'swarm update --cert-expiry 720h',
    'swarm update --allow-devices=true',
  ],
  run: updateCluster,
};

async function updateCluster({ context, flags, showHelp }: Invocation): Promise<void> {
  if (!flags.anyGiven(...CLUSTER_FLAGS)) {
    showHelp();
    return;
  }
  const api = await context.api();
  const { cluster } = await api.control.getCluster({});
  const spec = await withExternalCas(flags, clusterSpecOf(flags, cluster?.spec));
  const { warnings } = await api.control.updateCluster({ version: cluster?.version ?? 0, spec });
  for (const warning of warnings) printWarning(context, `warning: ${warning}`);
  printLine(context, 'Swarm updated.');
  if (flags.value(AUTOLOCK) === true) {
    const { unlockKey } = await api.unlockKey.getUnlockKey({});
    if (unlockKey !== '') printLine(context, unlockText(unlockKey));
  }
  if (flags.value(AUTOLOCK) === false && cluster?.spec?.encryption?.autoLockManagers === true)
    printLine(
      context,
      'Managers keep their keys in the clear again; those that are down now need the unlock key once more.',
    );
  if (spec.ca?.nodeCertExpiryMs !== cluster?.spec?.ca?.nodeCertExpiryMs)
    printLine(
      context,
      'Nodes get certificates of the new validity when they renew theirs; those whose certificates hold for longer do so within 5 minutes.',
    );
}
