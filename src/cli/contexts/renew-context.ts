/** Keeps a context usable: another certificate before the end of the one that it has, new addresses, new roots. */
import { createCertificateRequest } from '#certs/certificate-request.ts';
import type { CertifiedClient } from '#certs/client-identity.ts';
import { keyPairOf } from '#certs/key.ts';
import { decodeKeyFile } from '#certs/key-file.ts';
import type { ClientBundle as IssuedBundle } from '#gen/swarm/v1/clients.ts';
import type { SwarmClient } from '../../client/swarm-client.ts';
import { bundleIdentity, type ClientBundle, checkBundle } from './client-bundle.ts';
import type { ContextPaths } from './context-paths.ts';
import { readContext, updateContext } from './context-store.ts';

/** How much of its life a certificate has left when it is renewed. */
const RENEWED_AT = 1 / 3;

export function renewalDue({ notBeforeMs, notAfterMs }: CertifiedClient, nowMs: number): boolean {
  return notAfterMs - nowMs < (notAfterMs - notBeforeMs) * RENEWED_AT;
}

/**
 * Gets another certificate for the key that the context has, and what managers say of addresses and roots. The key stays:
 * so whichever copy of the context asks gets the same certificate, and none is shut out.
 */
export async function renewContext(
  api: Pick<SwarmClient, 'clients'>,
  paths: ContextPaths,
  name: string,
): Promise<ClientBundle> {
  const before = await readContext(paths, name);
  const { privateKey } = decodeKeyFile(Buffer.from(before.keyPem), 'key');
  const csrPem = Buffer.from(createCertificateRequest(keyPairOf(privateKey)));
  const { bundle } = await api.clients.renewClient({ csrPem });
  return updateContext(paths, name, before.keyPem, (now) => renewedBundle(now, bundle, name));
}

function renewedBundle(before: ClientBundle, issued: IssuedBundle | undefined, name: string): ClientBundle {
  const certificatePem = Buffer.from(issued?.certificatePem ?? []).toString();
  const bundle = { ...before, certificatePem };
  const { notAfterMs } = bundleIdentity(bundle, `the renewed context ${name}`);
  const renewed = {
    ...bundle,
    facts: { ...before.facts, expiresAt: new Date(notAfterMs).toISOString() },
    rootsPem: mergedRoots(before.rootsPem, Buffer.from(issued?.trustedRootsPem ?? []).toString()),
  };
  return checkBundle(withAddresses(renewed, issued?.addresses ?? []), `the renewed context ${name}`);
}

/** Managers as they are now; those of before where none is told. */
export function withAddresses(bundle: ClientBundle, addresses: readonly string[]): ClientBundle {
  if (addresses.length === 0) return bundle;
  return { ...bundle, facts: { ...bundle.facts, addresses: [...addresses] } };
}

/** What the swarm trusts now, which was told over a connection to a manager that was proven with what was trusted before. */
function mergedRoots(before: string, now: string): string {
  return now === '' ? before : now;
}
