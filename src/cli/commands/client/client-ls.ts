import { describeAuthor } from '#common/author.ts';
import { invalidField } from '#common/errors.ts';
import type { Client, ClientRole } from '#gen/swarm/v1/objects.ts';
import { CLIENT_ROLES, clientRoleName } from '#proto/client-roles.ts';
import type { CommandImplementation, Invocation } from '../../command.ts';
import { formatList, type ListView } from '../../format/list-format.ts';
import { ago, naturalOrder } from '../../format/texts.ts';
import { groupFilters } from '../shared/filters.ts';
import { FILTER, LIST_FORMAT, OUTPUT, QUIET_IDS, wantsDocument } from '../shared/format-flags.ts';
import { expiryText } from './expiry-text.ts';

const FILTERS = ['name', 'role'] as const;

export const clientLs: CommandImplementation = {
  flags: [FILTER, LIST_FORMAT, OUTPUT, QUIET_IDS],
  examples: [
    'swarm client ls',
    'swarm client ls --filter role=admin',
    "swarm client ls --format '{{.Name}} {{.Expires}}'",
  ],
  run: listClients,
};

async function listClients({ context, flags }: Invocation): Promise<void> {
  const filters = groupFilters(flags.list(FILTER), FILTERS);
  const request = { names: filters.name, roles: filters.role.map(roleOf) };
  const api = await context.api();
  const found: Client[] = [];
  for await (const { clients } of api.clients.listClients(request)) found.push(...clients);
  context.stdout.write(
    formatList(
      viewAt(context.clock.now()),
      found.toSorted((a, b) => naturalOrder(a.name, b.name)),
      {
        format: flags.value(LIST_FORMAT),
        quiet: flags.isSet(QUIET_IDS),
        asArray: wantsDocument(flags, LIST_FORMAT, QUIET_IDS),
      },
    ),
  );
}

function roleOf(text: string): ClientRole {
  const role = Object.entries(CLIENT_ROLES).find(([name]) => name === text)?.[1];
  if (role !== undefined) return role;
  throw invalidField('filter', `invalid role filter '${text}'`, 'use admin, operator or viewer');
}

function viewAt(nowMs: number): ListView<Client> {
  return {
    typeName: '*client.clientContext',
    table: '{{.ID}}\t{{.Name}}\t{{.Role}}\t{{.Expires}}\t{{.CreatedAt}}\t{{.CreatedBy}}',
    quiet: '{{.ID}}',
    raw: 'id: {{.ID}}\nname: {{.Name}}\nrole: {{.Role}}\nexpires: {{.Expires}}\n',
    quietRaw: 'id: {{.ID}}',
    columns: {
      ID: { header: 'ID', value: ({ id }) => id },
      Name: { header: 'NAME', value: ({ name }) => name },
      Role: { header: 'ROLE', value: ({ role }) => clientRoleName(role) ?? '' },
      Expires: { header: 'EXPIRES', value: ({ notAfterMs }) => expiryText(notAfterMs, nowMs) },
      CreatedAt: { header: 'CREATED', value: ({ createdAtMs }) => ago(createdAtMs, nowMs) },
      CreatedBy: { header: 'BY', value: ({ createdBy }) => describeAuthor(createdBy) },
      Serial: { header: 'SERIAL', value: ({ serial }) => serial },
    },
  };
}
