/** The roles of clients from outside of the swarm, by the names that certificates, commands and messages have for them. */
import { ClientRole } from '#gen/swarm/v1/objects.ts';
import type { ClientRoleName } from './grpc/caller.ts';

export const CLIENT_ROLES: { readonly [Name in ClientRoleName]: ClientRole } = {
  admin: ClientRole.ADMIN,
  operator: ClientRole.OPERATOR,
  viewer: ClientRole.VIEWER,
};

const NAMES: ReadonlyMap<ClientRole, ClientRoleName> = new Map(
  // The keys of the table are its type's.
  (Object.keys(CLIENT_ROLES) as ClientRoleName[]).map((name) => [CLIENT_ROLES[name], name]),
);

/** Undefined for no role, and for one of a newer release. */
export function clientRoleName(role: ClientRole): ClientRoleName | undefined {
  return NAMES.get(role);
}
