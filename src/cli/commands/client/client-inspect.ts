import { describeAuthor } from '#common/author.ts';
import { printTime } from '#common/template/print-value.ts';
import type { Client } from '#gen/swarm/v1/objects.ts';
import { clientRoleName } from '#proto/client-roles.ts';
import { CLIENT, clientShape } from '../../../docker-shape/from-clients.ts';
import { CliError } from '../../cli-errors.ts';
import type { CommandImplementation, Invocation } from '../../command.ts';
import { INSPECT_FORMAT, OUTPUT, PRETTY, wantsDocument } from '../shared/format-flags.ts';
import { inspect } from '../shared/inspect.ts';

export const clientInspect: CommandImplementation = {
  flags: [INSPECT_FORMAT, OUTPUT, PRETTY],
  examples: [
    'swarm client inspect ci',
    'swarm client inspect --pretty ci',
    "swarm client inspect --format '{{.Role}}' ci",
  ],
  argumentKind: 'client',
  run: inspectClients,
};

async function inspectClients({ context, flags, arguments: references }: Invocation): Promise<void> {
  wantsDocument(flags, INSPECT_FORMAT, PRETTY);
  const api = await context.api();
  await inspect<Client>({
    context,
    references,
    format: flags.value(INSPECT_FORMAT),
    isPretty: flags.isSet(PRETTY),
    find: async (reference) => {
      const { client } = await api.clients.getClient({ reference });
      if (client === undefined) throw new CliError(`the manager did not say what client ${reference} is`);
      return client;
    },
    toGo: (client) => ({ type: CLIENT, data: clientShape(client) }),
    pretty,
  });
}

function pretty(client: Client): string {
  const time = (ms: number): string => printTime(ms).toLowerCase();
  return [
    `ID:              ${client.id}`,
    `Name:            ${client.name}`,
    `Role:            ${clientRoleName(client.role) ?? ''}`,
    `Created at:      ${time(client.createdAtMs)}`,
    `Created by:      ${describeAuthor(client.createdBy)}`,
    'Certificate:',
    ` Serial:         ${client.serial}`,
    ` Valid from:     ${time(client.notBeforeMs)}`,
    ` Valid until:    ${time(client.notAfterMs)}`,
    ` Renewal:        ${client.fixed ? 'by an administrator only' : 'by itself'}`,
    ...(client.previousSerial === '' ? [] : [` Also good:      ${client.previousSerial}, until its own end`]),
  ].join('\n');
}
