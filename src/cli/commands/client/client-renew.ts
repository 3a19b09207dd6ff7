import type { CommandImplementation, Invocation } from '../../command.ts';
import { checkOutput, giveBundle, newKey } from './bundle-output.ts';
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
  const answer = await api.clients.renewClient(request);
  await giveBundle(context, { name: reference, keyPem, verb: 'renewed', answer }, output);
}
