/** Clients in the form of Docker's other declared objects. Docker itself has none. */
import { describeAuthor } from '#common/author.ts';
import { BOOL, STRING, type StructData, struct, TIME } from '#common/template/go-types.ts';
import type { Client } from '#gen/swarm/v1/objects.ts';
import { clientRoleName } from '#proto/client-roles.ts';
import { META } from './meta-types.ts';

export const CLIENT = struct('starling.Client', {
  ID: STRING,
  '...Meta': META,
  Name: STRING,
  Role: STRING,
  CreatedBy: STRING,
  Renewable: BOOL,
  Certificate: struct('starling.ClientCertificate', {
    Serial: STRING,
    IssuerKeyID: STRING,
    NotBefore: TIME,
    NotAfter: TIME,
    PreviousSerial: STRING,
  }),
});

export function clientShape(client: Client): StructData {
  return {
    ID: client.id,
    Version: { Index: client.version },
    CreatedAt: client.createdAtMs,
    UpdatedAt: client.updatedAtMs,
    Name: client.name,
    Role: clientRoleName(client.role) ?? '',
    CreatedBy: describeAuthor(client.createdBy),
    Renewable: !client.fixed,
    Certificate: {
      Serial: client.serial,
      IssuerKeyID: client.issuerKeyId,
      NotBefore: client.notBeforeMs,
      NotAfter: client.notAfterMs,
      PreviousSerial: client.previousSerial,
    },
  };
}
