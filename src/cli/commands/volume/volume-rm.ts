import type { SwarmApi } from '../../api.ts';
import type { CommandImplementation, Invocation } from '../../command.ts';
import { printLine } from '../../context.ts';
import { boolFlag } from '../../flags.ts';
import { collectFailures, isNotFound } from '../shared/each.ts';
import { DETACH, NODE } from './volume-flags.ts';
import { ALL_NODES, waitUntilGone } from './volume-nodes.ts';

const FORCE = boolFlag({
  name: 'force',
  short: 'f',
  usage: 'Force the removal of one or more volumes: though a service returns to it, or its node does not answer',
});

export const volumeRm: CommandImplementation = {
  flags: [DETACH, FORCE, NODE],
  examples: [
    'swarm volume rm data',
    'swarm volume rm --node worker-1 data logs',
    '# on all nodes that have it\nswarm volume rm --node all data',
    '# forget what a lost node had\nswarm volume rm --force --node worker-2 data',
  ],
  argumentKind: 'volume',
  run: removeVolumes,
};

async function removeVolumes({ context, flags, arguments: references }: Invocation): Promise<void> {
  const api = await context.api();
  const failures = collectFailures();
  const force = flags.isSet(FORCE);
  const begun: { readonly id: string; readonly reference: string }[] = [];
  for (const reference of references)
    for (const node of await nodesOf(api, reference, flags.list(NODE)))
      await failures.attempt(async () => {
        try {
          const { volume } = await api.volumes.removeVolume({ reference, node, force });
          begun.push({ id: volume?.id ?? '', reference });
        } catch (thrown) {
          if (!force || !isNotFound(thrown)) throw thrown;
          printLine(context, reference);
        }
      });
  for (const { id, reference } of begun)
    await failures.attempt(async () => {
      if (!flags.isSet(DETACH)) await waitUntilGone(context, id);
      printLine(context, reference);
    });
  failures.report();
}

/** The nodes to ask; an empty one where the daemon finds out. */
async function nodesOf(api: SwarmApi, reference: string, given: readonly string[]): Promise<readonly string[]> {
  if (given.length === 0) return [''];
  if (!given.includes(ALL_NODES)) return given;
  const { volumes } = await api.volumes.getVolume({ reference }).catch((thrown: unknown) => {
    if (isNotFound(thrown)) return { volumes: [] };
    throw thrown;
  });
  return volumes.length === 0 ? [''] : volumes.map(({ volume }) => volume?.nodeId ?? '');
}
