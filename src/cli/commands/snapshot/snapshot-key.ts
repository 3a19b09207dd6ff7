import type { CommandImplementation, Invocation } from '../../command.ts';
import { printLine } from '../../context.ts';
import { boolFlag } from '../../flags.ts';

const QUIET = boolFlag({ name: 'quiet', short: 'q', usage: 'Only display the key' });

export const snapshotKey: CommandImplementation = {
  flags: [QUIET],
  examples: ['swarm snapshot key', 'swarm snapshot key --quiet > /safe/place/swarm.key'],
  run: showKey,
};

async function showKey({ context, flags }: Invocation): Promise<void> {
  const api = await context.api();
  const { key, clusterName } = await api.snapshots.getSnapshotKey({});
  if (flags.isSet(QUIET)) {
    printLine(context, key);
    return;
  }
  printLine(context, `To read or restore a saved snapshot of the swarm ${clusterName}, give this key:\n`);
  printLine(context, `    ${key}\n`);
  printLine(
    context,
    'Keep it apart from the snapshots: without it none of them can be restored, and who has both has the swarm.',
  );
}
