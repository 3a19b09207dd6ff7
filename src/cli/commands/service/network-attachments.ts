/** The networks that flags name, as the ids that a spec has. */
import type { NetworkAttachmentSpec } from '#gen/swarm/v1/specs.ts';
import type { SwarmApi } from '../../api.ts';
import { CliError } from '../../cli-errors.ts';
import { findNetwork } from '../../known-networks.ts';

/** In the order of their ids, as Docker has them, so that another order of flags is no change. */
export async function resolveAttachments(
  api: SwarmApi,
  declared: readonly NetworkAttachmentSpec[],
): Promise<readonly NetworkAttachmentSpec[]> {
  return sorted(await Promise.all(declared.map(async (one) => ({ ...one, network: await idOf(api, one.network) }))));
}

/** Removes, then adds. Throws a CliError for a network that the service has already. */
export async function changedAttachments(
  api: SwarmApi,
  before: readonly NetworkAttachmentSpec[],
  change: { readonly added: readonly NetworkAttachmentSpec[]; readonly removed: readonly string[] },
): Promise<readonly NetworkAttachmentSpec[]> {
  const { added, removed } = change;
  if (added.length === 0 && removed.length === 0) return before;
  const gone = new Set(await Promise.all(removed.map((reference) => idOf(api, reference))));
  const networks = before.filter(({ network }) => !gone.has(network));
  for (const attachment of added) {
    const network = await idOf(api, attachment.network);
    if (networks.some((one) => one.network === network))
      throw new CliError(`service is already attached to network ${attachment.network}`, {
        hint: `to change how, give both: --network-rm ${attachment.network} --network-add name=${attachment.network},...`,
      });
    networks.push({ ...attachment, network });
  }
  return sorted(networks);
}

function sorted(attachments: readonly NetworkAttachmentSpec[]): readonly NetworkAttachmentSpec[] {
  return attachments.toSorted((a, b) => (a.network < b.network ? -1 : 1));
}

async function idOf(api: SwarmApi, reference: string): Promise<string> {
  return (await findNetwork(api, reference)).id;
}
