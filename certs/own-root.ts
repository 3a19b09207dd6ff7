/** What a root has to be that somebody brings along, for a new swarm or in place of the present root. */
import { createPrivateKey, type KeyObject } from 'node:crypto';
import { SwarmError } from '#common/errors.ts';
import { type Authority, loadAuthority } from './authority.ts';
import { type Certificate, parseCertificates } from './certificate.ts';
import { OWN_ROOT } from './config.ts';
import { badCertificate } from './errors.ts';
import { readPrivateKey } from './key.ts';
import { signatureHolds } from './signature.ts';

/** The flags that the two came in, for errors. */
export interface RootFields {
  readonly certificate: string;
  readonly key: string;
}

export const ROOT_FLAGS: RootFields = { certificate: '--ca-cert', key: '--ca-key' };

const KEY_MAX_BYTES = 16 * 1024;

/**
 * Reads the root that somebody wants to use: one self-signed certificate of an authority with an ECDSA P-256 key, which
 * may sign other authorities (a rotation needs that), has a subject key identifier (two roots of one name are told apart
 * by it), holds now and goes on to hold for a year.
 *
 * @throws SwarmError that names the flag and the rule
 */
export function readOwnRoot(pem: Uint8Array | string, nowMs: number, fields: RootFields = ROOT_FLAGS): Certificate {
  const field = fields.certificate;
  const certificates = reading(field, 'make the root with an ECDSA P-256 key and SHA-256, as PEM', () =>
    parseCertificates(pem, field),
  );
  const [root] = certificates;
  if (root === undefined || certificates.length > 1)
    throw refused(
      field,
      `holds ${certificates.length} certificates; the root alone is wanted`,
      'leave the certificates of other authorities out: nodes trust the root, and it signs for them itself',
    );
  const problem = problemOf(root, nowMs);
  if (problem !== undefined) throw refused(field, problem.rule, problem.wayOut);
  return root;
}

/** The root together with its key. @throws SwarmError as `readOwnRoot`, and for a key that is none or belongs to another */
export function readOwnAuthority(
  certificatePem: Uint8Array | string,
  keyPem: Uint8Array,
  nowMs: number,
  fields: RootFields = ROOT_FLAGS,
): Authority {
  const certificate = readOwnRoot(certificatePem, nowMs, fields);
  const privateKey = reading(fields.key, 'give the ECDSA P-256 key of the root, PEM, unencrypted', () =>
    readKey(keyPem, fields.key),
  );
  return reading(fields.key, `give the key that ${fields.certificate} was made with`, () =>
    loadAuthority(certificate, privateKey),
  );
}

/** PKCS#8 or SEC 1, whichever the tool wrote that made it. Errors repeat nothing of it. */
function readKey(pem: Uint8Array, what: string): KeyObject {
  if (pem.length > KEY_MAX_BYTES) throw badCertificate(what, `is larger than ${KEY_MAX_BYTES} bytes`);
  let key: KeyObject;
  try {
    key = createPrivateKey({ key: Buffer.from(pem), format: 'pem' });
  } catch {
    throw badCertificate(what, 'is not a private key in PEM, or is encrypted');
  }
  return readPrivateKey(key.export({ type: 'pkcs8', format: 'der' }), what);
}

interface Problem {
  readonly rule: string;
  readonly wayOut: string;
}

function problemOf(root: Certificate, nowMs: number): Problem | undefined {
  if (!root.isAuthority || root.keyUsage?.certificateSign === false)
    return {
      rule: 'is not the certificate of an authority: it may not sign certificates',
      wayOut: 'make it with basicConstraints=CA:TRUE and keyUsage=keyCertSign',
    };
  if (!root.subjectDer.equals(root.issuerDer) || !signatureHolds(root.signedPart, root.signature, root.publicKey))
    return {
      rule: 'is not a root: another authority has signed it',
      wayOut: 'give the self-signed certificate at the top, or make a root for the swarm alone',
    };
  if (root.pathLength === 0)
    return {
      rule: 'may sign no other authority (pathlen:0), so it could never be replaced by another root',
      wayOut: 'make it without pathlen',
    };
  if (root.subjectKeyId === undefined)
    return {
      rule: 'has no subject key identifier, by which two roots of one name are told apart',
      wayOut: 'make it with subjectKeyIdentifier=hash',
    };
  return timeProblem(root, nowMs);
}

function timeProblem(root: Certificate, nowMs: number): Problem | undefined {
  const wayOut = 'make a root that holds for years: `openssl req -x509 -days 7300 ...`';
  if (nowMs < root.notBeforeMs)
    return {
      rule: `holds only from ${new Date(root.notBeforeMs).toISOString()} on`,
      wayOut: "check this host's clock, or wait",
    };
  if (nowMs > root.notAfterMs) return { rule: `expired at ${new Date(root.notAfterMs).toISOString()}`, wayOut };
  if (root.notAfterMs - nowMs < OWN_ROOT.leastLifetimeMs)
    return { rule: `expires at ${new Date(root.notAfterMs).toISOString()}, in less than a year`, wayOut };
  return undefined;
}

function reading<T>(field: string, wayOut: string, read: () => T): T {
  try {
    return read();
  } catch (thrown) {
    const { message } = SwarmError.from(thrown);
    const rule = message.startsWith(`${field}: `) ? message.slice(field.length + 2) : message;
    throw refused(field, rule, wayOut);
  }
}

function refused(field: string, rule: string, wayOut: string): SwarmError {
  return new SwarmError({
    code: 'invalid',
    reason: 'bad-certificate',
    field,
    message: `${field}: ${rule}`,
    hint: wayOut,
  });
}
