/** Clients from outside of the swarm in the declarative API. */
import { type CertificateRequest, parseCertificateRequest } from '#certs/certificate-request.ts';
import type { ClientRoleName } from '#certs/client-identity.ts';
import { CERTIFICATE_CONFIG } from '#certs/config.ts';
import { keyIdentifier } from '#certs/key.ts';
import { invalidField, SwarmError } from '#common/errors.ts';
import { newId } from '#common/ids.ts';
import { LIMITS } from '#common/limits.ts';
import type { Random } from '#common/random.ts';
import type * as api from '#gen/swarm/v1/clients.ts';
import { Client } from '#gen/swarm/v1/objects.ts';
import type { StoreView } from '#manager/store/index.ts';
import { clientRoleName } from '#proto/client-roles.ts';
import { checkCertificateLifetime, checkRootOutlives } from './certificate-lifetime.ts';
import {
  type ClientCertificate,
  checkNewClient,
  checkOwnRenewal,
  clientsMatching,
  createClient,
  isRenewedAlready,
  renewCertificate,
  replaceCertificate,
  revokeClient,
} from './clients.ts';
import { pages } from './filters.ts';
import { findClient } from './references.ts';
import type { ControlCaller, WriteQueue } from './write-queue.ts';

export interface ClientOrder {
  readonly identity: { readonly clientId: string; readonly role: ClientRoleName; readonly clusterId: string };
  /** SubjectPublicKeyInfo of a verified request. */
  readonly publicKeyDer: Buffer;
  readonly lifetimeMs: number;
}

export interface IssuedClientCertificate {
  /** The certificate, then intermediates. */
  readonly certificatePem: string;
  readonly serial: string;
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
  readonly issuerKeyId: string;
}

/** Signs certificates of clients in the cluster's name, and knows what clients need beside them. */
export interface ClientIssuer {
  issue(order: ClientOrder): Promise<IssuedClientCertificate>;
  /** The end of the root that signs, which no certificate outlives. */
  notAfterMs(): number;
  /** PEM: all of them during a rotation. */
  trustedRootsPem(): Uint8Array;
  /** host:port of managers. */
  addresses(): readonly string[];
}

export interface ClientApiOptions {
  readonly writes: WriteQueue;
  readonly view: () => StoreView;
  readonly random: Random;
  readonly now: () => number;
  /** Absent where there is no certificate authority. */
  readonly issuer: ClientIssuer | undefined;
}

export class ClientApi {
  readonly #options: ClientApiOptions;

  constructor(options: ClientApiOptions) {
    this.#options = options;
  }

  async create(caller: ControlCaller, request: api.CreateClientRequest): Promise<api.CreateClientResponse> {
    const { writes, view, random, now } = this.#options;
    // Before anything is signed: a certificate that is of no use is not to exist.
    checkNewClient(view(), request);
    this.#checkWithinRoot(request.expiryMs);
    const csr = parseCertificateRequest(request.csrPem);
    const { name, role, fixed } = request;
    const id = newId(random);
    const issued = await this.#issue(csr, { id, role }, request.expiryMs || LIMITS.CLIENT_EXPIRY_MS);
    const nowMs = now();
    const client = Client.create({
      id,
      createdAtMs: nowMs,
      updatedAtMs: nowMs,
      name,
      role,
      fixed,
      createdBy: caller.author,
      ...issued,
    });
    const written = await writes.write(caller, (current) => createClient(current, request, client));
    return this.#answer(written.view.get('client', id) ?? written.result);
  }

  async get(_caller: ControlCaller, request: api.GetClientRequest): Promise<api.GetClientResponse> {
    return Promise.resolve({ client: findClient(this.#options.view(), request.reference) });
  }

  async *list(_caller: ControlCaller, request: api.ListClientsRequest): AsyncGenerator<api.ListClientsResponse> {
    const matching = clientsMatching(this.#options.view(), request);
    for (const clients of pages(matching, LIMITS.LIST_PAGE)) yield await Promise.resolve({ clients });
  }

  async revoke(caller: ControlCaller, request: api.RevokeClientRequest): Promise<api.RevokeClientResponse> {
    const { result } = await this.#options.writes.write(caller, (view) => revokeClient(view, request.reference));
    return { id: result.id };
  }

  async renew(caller: ControlCaller, request: api.RenewClientRequest): Promise<api.RenewClientResponse> {
    const own = this.#ownRenewal(caller, request);
    const { writes, view } = this.#options;
    checkCertificateLifetime('expiry', request.expiryMs === 0 ? undefined : request.expiryMs);
    this.#checkWithinRoot(request.expiryMs);
    const client = findClient(view(), own?.clientId ?? request.reference);
    const before = client.notAfterMs - client.notBeforeMs - CERTIFICATE_CONFIG.backdateMs;
    const lifetimeMs = Math.max(LIMITS.MIN_CERT_EXPIRY_MS, before);
    if (own !== undefined && request.expiryMs > lifetimeMs)
      throw invalidField(
        'expiry',
        `expiry: a client cannot give itself more than it has had (${Math.round(lifetimeMs / 1000)}s)`,
        'leave it out, or ask an administrator: `swarm client renew --expiry`',
      );
    const csr = parseCertificateRequest(request.csrPem);
    if (own !== undefined && isRenewedAlready(client, own, keyIdOf(csr))) return this.#answer(client);
    if (own !== undefined) checkOwnRenewal(client, own);
    const issued = await this.#issue(csr, client, request.expiryMs || lifetimeMs);
    const written = await writes.write(caller, (current) =>
      own === undefined ? replaceCertificate(current, client.id, issued) : renewCertificate(current, own, issued),
    );
    return this.#answer(written.view.get('client', client.id) ?? written.result);
  }

  /** 0: nothing was asked for, and what is given then is as long as the root allows. */
  #checkWithinRoot(expiryMs: number): void {
    if (expiryMs !== 0) checkRootOutlives('expiry', expiryMs, this.#options.now(), this.#issuer.notAfterMs());
  }

  /** The caller, when it means itself. @throws SwarmError for who has no certificate to renew, or means another one's */
  #ownRenewal({ client }: ControlCaller, { reference }: api.RenewClientRequest): ControlCaller['client'] {
    if (reference !== '' && (client === undefined || client.role === 'admin')) return undefined;
    if (reference !== '' && client !== undefined)
      throw new SwarmError({
        code: 'denied',
        reason: 'wrong-role',
        message: `a client of role ${client.role} can renew its own certificate only`,
        hint: 'leave the name out, or ask an administrator',
      });
    if (client === undefined)
      throw invalidField('reference', 'no client was named', 'name the client: `swarm client renew NAME`');
    return client;
  }

  async #issue(
    csr: CertificateRequest,
    { id, role }: Pick<Client, 'id' | 'role'>,
    lifetimeMs: number,
  ): Promise<ClientCertificate> {
    const roleName = clientRoleName(role);
    const clusterId = this.#options.view().cluster()?.id;
    if (roleName === undefined || clusterId === undefined) throw cannotIssue();
    const { publicKeyDer } = csr;
    const identity = { clientId: id, role: roleName, clusterId };
    const { certificatePem, ...facts } = await this.#issuer.issue({ identity, publicKeyDer, lifetimeMs });
    return { ...facts, certificatePem: Buffer.from(certificatePem), keyId: keyIdOf(csr) };
  }

  /** The client and what it needs beside its key. */
  #answer(client: Client): { readonly client: Client; readonly bundle: api.ClientBundle } {
    const issuer = this.#issuer;
    const bundle = {
      certificatePem: client.certificatePem,
      trustedRootsPem: issuer.trustedRootsPem(),
      clusterId: this.#options.view().cluster()?.id ?? '',
      addresses: [...issuer.addresses()],
    };
    return { client, bundle };
  }

  get #issuer(): ClientIssuer {
    const { issuer } = this.#options;
    if (issuer === undefined) throw cannotIssue();
    return issuer;
  }
}

function keyIdOf({ publicKeyDer }: CertificateRequest): string {
  return keyIdentifier(publicKeyDer).toString('hex');
}

function cannotIssue(): SwarmError {
  return new SwarmError({
    code: 'unavailable',
    reason: 'no-certificate',
    message: 'this manager cannot issue certificates',
    hint: 'try again in a moment, or ask another manager',
  });
}
