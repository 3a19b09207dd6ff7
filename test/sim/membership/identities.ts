import { parseCertificates } from '#certs/certificate.ts';
import { createCertificateRequest } from '#certs/certificate-request.ts';
import { certifiedIdentity } from '#certs/identity.ts';
import type { KeyPair } from '#certs/key.ts';
import type { SimIdentity } from './sim-host.ts';

export function identityOf(keys: KeyPair, certificatePem: Uint8Array): SimIdentity {
  const [certificate] = parseCertificates(certificatePem);
  if (certificate === undefined) throw new Error('there is no certificate');
  const { nodeId, role, notBeforeMs, notAfterMs, serial } = certifiedIdentity(certificate);
  return { nodeId, role, keys, certificatePem, notBeforeMs, notAfterMs, serial };
}

export function requestOf(keys: KeyPair): Uint8Array {
  return Buffer.from(createCertificateRequest(keys));
}
