/** What may happen to clients: every operation reads a view, decides, and asks for one transaction. */
import { invalidField, SwarmError } from '#common/errors.ts';
import { LIMITS } from '#common/limits.ts';
import { checkName } from '#common/names.ts';
import type { CreateClientRequest, ListClientsRequest } from '#gen/swarm/v1/clients.ts';
import type { Client } from '#gen/swarm/v1/objects.ts';
import type { StoreView } from '#manager/store/index.ts';
import { clientRoleName } from '#proto/client-roles.ts';
import { checkCertificateLifetime } from './certificate-lifetime.ts';
import type { Decision } from './decision.ts';
import { requireIdentity } from './feature-gates.ts';
import { anyContained, anyOf } from './filters.ts';
import { findClient } from './references.ts';
import type { CallingClient } from './write-queue.ts';

/** What the certificate says that was signed for a client. */
export type ClientCertificate = Pick<
  Client,
  'serial' | 'notBeforeMs' | 'notAfterMs' | 'issuerKeyId' | 'keyId' | 'certificatePem'
>;

/** @throws SwarmError for the first rule that the request breaks; asked before a certificate is signed, and again after */
export function checkNewClient(view: StoreView, { name, role, expiryMs }: CreateClientRequest): void {
  requireIdentity(view, 'client');
  const badName = checkName('name', name);
  if (badName !== undefined) throw badName;
  if (clientRoleName(role) === undefined)
    throw invalidField('role', 'role: must be admin, operator or viewer', 'use --role');
  checkCertificateLifetime('expiry', expiryMs === 0 ? undefined : expiryMs);
  if (view.find('client', 'name', name.toLowerCase()) !== undefined)
    throw new SwarmError({
      code: 'exists',
      reason: 'duplicate-name',
      field: 'name',
      message: `client ${name} already exists`,
      hint: 'choose another name; for a new certificate of the same client use `swarm client renew`',
    });
  if (view.count('client') >= LIMITS.CLIENTS_PER_CLUSTER)
    throw new SwarmError({
      code: 'exhausted',
      reason: 'too-many',
      limit: 'CLIENTS_PER_CLUSTER',
      message: `the swarm has ${LIMITS.CLIENTS_PER_CLUSTER} clients, the limit (CLIENTS_PER_CLUSTER)`,
      hint: 'revoke those that are not used any more: `swarm client revoke`',
    });
}

export function createClient(view: StoreView, request: CreateClientRequest, client: Client): Decision<Client> {
  checkNewClient(view, request);
  return { result: client, changes: [{ kind: 'create', table: 'client', object: client }] };
}

/** By an administrator: what was there before does not count any more. */
export function replaceCertificate(view: StoreView, clientId: string, given: ClientCertificate): Decision<Client> {
  return updated({ ...existing(view, clientId), ...given, previousSerial: '' });
}

/**
 * By the client itself. The certificate that it shows stays good until its end, for its other copies. One of those that
 * asks later with the same key, or whose answer was lost, gets the certificate that was made then.
 */
export function renewCertificate(view: StoreView, caller: CallingClient, given: ClientCertificate): Decision<Client> {
  const client = existing(view, caller.clientId);
  if (isRenewedAlready(client, caller, given.keyId)) return { result: client, changes: [] };
  checkOwnRenewal(client, caller);
  return updated({ ...client, ...given, previousSerial: caller.serial });
}

export function isRenewedAlready(client: Client, { serial }: CallingClient, keyId: string): boolean {
  return serial !== client.serial && serial === client.previousSerial && keyId === client.keyId;
}

/** @throws SwarmError when the client may not renew the certificate that it shows */
export function checkOwnRenewal(client: Client, { serial }: CallingClient): void {
  if (client.fixed)
    throw new SwarmError({
      code: 'denied',
      reason: 'wrong-role',
      message: `client ${client.name} was made to end with its certificate, which it cannot renew`,
      hint: 'ask an administrator: `swarm client renew`',
    });
  if (serial === client.serial) return;
  throw new SwarmError({
    code: 'conflict',
    reason: 'out-of-sequence',
    message: `client ${client.name} has renewed its certificate elsewhere, with another key; this one is good until its end`,
    hint: 'import the newer bundle here, or ask an administrator for one: `swarm client renew`',
  });
}

export function revokeClient(view: StoreView, reference: string): Decision<Client> {
  const client = findClient(view, reference);
  return { result: client, changes: [{ kind: 'remove', table: 'client', object: client }] };
}

export function clientsMatching(view: StoreView, request: ListClientsRequest): readonly Client[] {
  return [...view.all('client')]
    .filter(({ name, role }) => anyContained(request.names, name) && anyOf(request.roles, role))
    .toSorted((a, b) => (a.name < b.name ? -1 : 1));
}

function updated(object: Client): Decision<Client> {
  return { result: object, changes: [{ kind: 'update', table: 'client', object }] };
}

/** It may have been revoked while the certificate was signed. */
function existing(view: StoreView, clientId: string): Client {
  return findClient(view, clientId);
}
