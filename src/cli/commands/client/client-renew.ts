import { CliError } from '../../cli-errors.ts';
import type { CommandImplementation, Invocation } from '../../command.ts';
import { bundleOf, checkOutput, giveBundle, newKey } from './bundle-output.ts';
import { BUNDLE_OUTPUT, EXPIRY } from './client-flags.ts';

export const clientRenew: CommandImplementation = {
  flags: [EXPIRY, BUNDLE_OUTPUT],
  examples: [
    'swarm client renew ci --output /root/ci-bundle',
    'ssh m1 swarm client renew ci --output - | swarm context import --force prod -',
  ],
  argumentKind: 'client',
  run: renew,
};

/** A new key too: whoever has the one before is shut out. */
async function renew({ context, flags, arguments: [reference = ''] }: Invocation): Promise<void> {
  const output = flags.value(BUNDLE_OUTPUT) ?? reference;
  await checkOutput(context, output);
  const api = await context.api();
  const { keyPem, csrPem } = newKey();
  const request = { reference, csrPem, expiryMs: flags.value(EXPIRY) ?? 0 };
  const { client, bundle } = await api.clients.renewClient(request);
  if (client === undefined) throw new CliError('the manager did not say which client it has renewed');
  await giveBundle(context, bundleOf(client, bundle, keyPem), output, 'Renewed, with a new key,');
}
