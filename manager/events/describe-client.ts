/** What changes of clients from outside mean. */
import type { Client } from '#gen/swarm/v1/objects.ts';
import type { EventOf } from '#manager/store/index.ts';
import { clientRoleName } from '#proto/client-roles.ts';
import type { EventDraft } from './event-types.ts';
import { called, changedFields, listed } from './texts.ts';

export function describeClient(event: EventOf<'client'>): readonly EventDraft[] {
  const client = event.object;
  const subject = { id: client.id, name: client.name };
  const name = called(subject);
  const role = clientRoleName(client.role) ?? '';
  const attributes = { role, serial: client.serial };
  switch (event.kind) {
    case 'create':
      return [{ type: 'client', action: 'create', subject, message: `client ${name} may act as ${role}`, attributes }];
    case 'remove':
      return [{ type: 'client', action: 'revoke', subject, message: `client ${name} is refused now`, attributes }];
    case 'update': {
      const drafts: EventDraft[] = [];
      if (client.serial !== event.old.serial)
        drafts.push({
          type: 'client',
          action: 'renew',
          subject,
          message: `client ${name} got another certificate`,
          attributes,
        });
      const fields = changedFields(declared(event.old), declared(client));
      if (fields.length > 0)
        drafts.push({
          type: 'client',
          action: 'update',
          subject,
          message: `client ${name} was changed: ${listed(fields)}`,
          attributes,
        });
      return drafts;
    }
  }
}

function declared({ name, role }: Client): object {
  return { name, role };
}
