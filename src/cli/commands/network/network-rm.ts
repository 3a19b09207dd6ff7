import type { Network } from '#gen/swarm/v1/objects.ts';
import { predefinedNetwork } from '../../../docker-shape/predefined-networks.ts';
import { CliError } from '../../cli-errors.ts';
import type { CommandImplementation, Invocation } from '../../command.ts';
import { printLine } from '../../context.ts';
import { boolFlag } from '../../flags.ts';
import { findNetwork } from '../../known-networks.ts';
import { confirm } from '../shared/confirm.ts';
import { collectFailures, isNotFound } from '../shared/each.ts';

const FORCE = boolFlag({ name: 'force', short: 'f', usage: 'Do not error if the network does not exist' });

const INGRESS_WARNING =
  'WARNING! Without its ingress network the swarm publishes no ports in mode ingress until another one is created.';

export const networkRm: CommandImplementation = {
  flags: [FORCE],
  examples: ['swarm network rm back', 'swarm network rm --force front back'],
  argumentKind: 'network',
  run: removeNetworks,
};

async function removeNetworks({ context, flags, arguments: references }: Invocation): Promise<void> {
  const api = await context.api();
  const failures = collectFailures();
  for (const reference of references)
    await failures.attempt(async () => {
      try {
        const network = await findNetwork(api, reference);
        refusePredefined(network);
        if (isIngress(network) && !(await confirm(context, `${INGRESS_WARNING}\nAre you sure you want to continue?`)))
          return;
        await api.control.removeNetwork({ reference: network.id });
      } catch (thrown) {
        if (flags.isSet(FORCE) && isNotFound(thrown)) return;
        throw thrown;
      }
      printLine(context, reference);
    });
  failures.report();
}

function isIngress({ spec }: Network): boolean {
  return spec?.ingress === true;
}

function refusePredefined({ id }: Network): void {
  if (predefinedNetwork(id) !== undefined)
    throw new CliError(`Error response from daemon: ${id} is a pre-defined network and cannot be removed`, {
      hint: 'every node has it by itself; leave it out',
    });
}
