/** What a client has: who it is, where managers are, its certificate, its key and the roots that it trusts. */
import { parseCertificates } from '#certs/certificate.ts';
import { type CertifiedClient, certifiedClient } from '#certs/client-identity.ts';
import { keysMatch } from '#certs/key.ts';
import { decodeKeyFile } from '#certs/key-file.ts';
import { SwarmError } from '#common/errors.ts';
import { isId } from '#common/ids.ts';
import { CliError } from '../cli-errors.ts';

/** As it stands in `context.json`. */
export interface BundleFacts {
  readonly format: number;
  readonly clusterId: string;
  readonly clientId: string;
  readonly clientName: string;
  readonly role: string;
  /** host:port of managers. */
  readonly addresses: readonly string[];
  /** The name that TLS clients have to expect of managers, wherever they are. */
  readonly serverName: string;
  /** RFC 3339. */
  readonly expiresAt: string;
  /** It ends with its certificate, which it cannot renew. */
  readonly fixed: boolean;
}

export interface ClientBundle {
  readonly facts: BundleFacts;
  /** PEM. */
  readonly rootsPem: string;
  /** PEM: the certificate, then intermediates. */
  readonly certificatePem: string;
  /** PEM of PKCS#8. */
  readonly keyPem: string;
}

export const BUNDLE_FORMAT = 1;
/** A certificate is under 1 KiB; more is no bundle. */
export const BUNDLE_BYTES_MAX = 256 * 1024;
const ADDRESSES_MAX = 64;
const ADDRESS = /^(?:\[[0-9a-fA-F:.%\w]+\]|[A-Za-z0-9_.-]+):(\d{1,5})$/;

/** The whole bundle as one JSON document. */
export function writeBundle({ facts, rootsPem, certificatePem, keyPem }: ClientBundle): string {
  return `${JSON.stringify({ ...facts, ca: rootsPem, certificate: certificatePem, key: keyPem }, undefined, 2)}\n`;
}

/** Reads that document. `what` begins the error's message, which never repeats anything of the content. */
export function readBundle(text: string, what: string): ClientBundle {
  const value = parseObject(text, what);
  const { ca, certificate, key } = value;
  if (typeof ca !== 'string' || typeof certificate !== 'string' || typeof key !== 'string')
    throw damaged(what, 'it has no ca, certificate or key');
  return checkBundle({ facts: readFacts(value, what), rootsPem: ca, certificatePem: certificate, keyPem: key }, what);
}

/** Reads `context.json`. */
export function parseFacts(text: string, what: string): BundleFacts {
  return readFacts(parseObject(text, what), what);
}

/** @throws CliError where parts of the bundle do not belong together, or are none */
export function checkBundle(bundle: ClientBundle, what: string): ClientBundle {
  const identity = bundleIdentity(bundle, what);
  const { facts } = bundle;
  if (facts.clusterId !== identity.clusterId || facts.clientId !== identity.clientId || facts.role !== identity.role)
    throw damaged(what, 'its certificate is of another client, or of another cluster');
  return bundle;
}

/** Who the certificate says it is. */
export function bundleIdentity({ certificatePem, keyPem, rootsPem }: ClientBundle, what: string): CertifiedClient {
  try {
    parseCertificates(rootsPem, 'ca');
    const [leaf] = parseCertificates(certificatePem, 'certificate');
    if (leaf === undefined) throw damaged(what, 'it has no certificate');
    const { privateKey } = decodeKeyFile(Buffer.from(keyPem), 'key');
    if (!keysMatch(privateKey, leaf.publicKeyDer)) throw damaged(what, 'its key is not the one of its certificate');
    return certifiedClient(leaf);
  } catch (thrown) {
    if (thrown instanceof SwarmError) throw damaged(what, thrown.message);
    throw thrown;
  }
}

function parseObject(text: string, what: string): Readonly<Record<string, unknown>> {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw damaged(what, 'it is not JSON');
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw damaged(what, 'it is not an object');
  // What was made of JSON has no other keys than these.
  return value as Readonly<Record<string, unknown>>;
}

function readFacts(value: Readonly<Record<string, unknown>>, what: string): BundleFacts {
  const { format, clusterId, clientId, clientName, role, addresses, serverName, expiresAt, fixed } = value;
  if (format !== BUNDLE_FORMAT)
    throw new CliError(`${what}: is of a format that this release does not read`, {
      hint: 'use the release that wrote it, or a later one',
    });
  if (typeof clusterId !== 'string' || !isId(clusterId)) throw damaged(what, 'clusterId is none');
  if (typeof clientId !== 'string' || !isId(clientId)) throw damaged(what, 'clientId is none');
  if (typeof clientName !== 'string' || typeof role !== 'string' || typeof serverName !== 'string')
    throw damaged(what, 'clientName, role or serverName is missing');
  if (!Array.isArray(addresses) || addresses.length === 0 || addresses.length > ADDRESSES_MAX)
    throw damaged(what, `addresses has to be a list of 1 to ${ADDRESSES_MAX} managers`);
  const checked = addresses.map((address: unknown) => {
    if (typeof address !== 'string' || !isAddress(address))
      throw damaged(what, 'addresses has one that is not host:port');
    return address;
  });
  return {
    format,
    clusterId,
    clientId,
    clientName,
    role,
    addresses: checked,
    serverName,
    expiresAt: typeof expiresAt === 'string' ? expiresAt : '',
    fixed: fixed === true,
  };
}

/** host:port, `[host]:port` for IPv6. */
export function isAddress(text: string): boolean {
  const port = Number(ADDRESS.exec(text)?.[1] ?? 0);
  return port > 0 && port < 65_536;
}

export function damaged(what: string, why: string): CliError {
  return new CliError(`${what} is damaged: ${why}`, {
    hint: 'import it again, or ask an administrator for a new one: swarm client renew NAME',
  });
}
