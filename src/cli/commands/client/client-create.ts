import { checkName } from '#common/names.ts';
import { ClientRole } from '#gen/swarm/v1/objects.ts';
import { CliError } from '../../cli-errors.ts';
import type { CommandImplementation, Invocation } from '../../command.ts';
import { boolFlag } from '../../flags.ts';
import { checkOutput, giveBundle, newKey } from './bundle-output.ts';
import { BUNDLE_OUTPUT, EXPIRY, ROLE } from './client-flags.ts';

const NO_RENEWAL = boolFlag({
  name: 'no-renewal',
  usage: 'The client cannot renew its certificate by itself: it ends when that does',
});

export const clientCreate: CommandImplementation = {
  flags: [ROLE, EXPIRY, NO_RENEWAL, BUNDLE_OUTPUT],
  examples: [
    'swarm client create dashboard',
    'swarm client create ci --role operator --output /root/ci-bundle',
    '# into a context of this machine, from a manager\nssh m1 swarm client create me --role admin --output - | swarm context import prod -',
    '# for a day, and no longer\nswarm client create contractor --role operator --expiry 24h --no-renewal',
  ],
  run: create,
};

async function create({ context, flags, arguments: [name = ''] }: Invocation): Promise<void> {
  // The name is a directory here, too, unless another one is given.
  const badName = checkName('name', name);
  if (badName !== undefined) throw new CliError(badName.message, { hint: badName.hint });
  const output = flags.value(BUNDLE_OUTPUT) ?? name;
  await checkOutput(context, output);
  const api = await context.api();
  const { keyPem, csrPem } = newKey();
  const answer = await api.clients.createClient({
    name,
    role: flags.value(ROLE) ?? ClientRole.VIEWER,
    csrPem,
    expiryMs: flags.value(EXPIRY) ?? 0,
    fixed: flags.isSet(NO_RENEWAL),
  });
  await giveBundle(context, { name, keyPem, verb: 'created', answer }, output);
}
