/** Credentials for registries, in the form in which Docker passes them on: base64 of a small JSON document. */
import { SwarmError } from '../errors.ts';

export interface RegistryCredential {
  readonly username: string;
  readonly password: string;
  /** Stands for both when not empty: an OAuth 2 refresh token. */
  readonly identityToken: string;
  /** Stands for all of these when not empty: a bearer token, sent as it is. */
  readonly registryToken: string;
}

/** Cloud registries' tokens are up to a few kilobytes. */
const ENCODED_BYTES_MAX = 64 * 1024;

export function isEmptyCredential(credential: RegistryCredential): boolean {
  const { username, password, identityToken, registryToken } = credential;
  return username === '' && password === '' && identityToken === '' && registryToken === '';
}

/** What `registry_auth` fields and X-Registry-Auth headers carry. `server` is the registry's host. */
export function encodeRegistryAuth(credential: RegistryCredential, server: string): string {
  const { username, password, identityToken, registryToken } = credential;
  const document = {
    ...(username === '' ? {} : { username }),
    ...(password === '' ? {} : { password }),
    serveraddress: server,
    ...(identityToken === '' ? {} : { identitytoken: identityToken }),
    ...(registryToken === '' ? {} : { registrytoken: registryToken }),
  };
  const encoded = Buffer.from(JSON.stringify(document)).toString('base64url');
  return encoded.padEnd(Math.ceil(encoded.length / 4) * 4, '=');
}

function refuse(message: string, cause?: unknown): SwarmError {
  return new SwarmError({
    code: 'invalid',
    reason: 'image-auth',
    field: 'registry_auth',
    // What was sent is not quoted: it is a secret.
    message: `the registry credentials ${message}`,
    hint: 'log in to the registry again',
    cause,
  });
}

/**
 * Undefined when the text is empty or holds no credential.
 * @throws SwarmError `image-auth` when it is not what `encodeRegistryAuth` makes.
 */
export function decodeRegistryAuth(encoded: string): RegistryCredential | undefined {
  if (encoded === '') return undefined;
  if (encoded.length > ENCODED_BYTES_MAX) throw refuse(`are longer than ${ENCODED_BYTES_MAX} bytes`);
  let document: unknown;
  try {
    // Both alphabets of base64 are understood.
    document = JSON.parse(Buffer.from(encoded, 'base64').toString('utf8'));
  } catch {
    throw refuse('are not base64 of JSON');
  }
  if (typeof document !== 'object' || document === null) throw refuse('are not base64 of a JSON object');
  const fields = document as Readonly<Record<string, unknown>>;
  const text = (name: string): string => {
    const value = Object.hasOwn(fields, name) ? fields[name] : undefined;
    if (value === undefined || value === null) return '';
    if (typeof value !== 'string') throw refuse(`have a ${name} that is not a text`);
    return value;
  };
  const inline = splitBasic(text('auth'));
  const credential = {
    username: text('username') || inline.username,
    password: text('password') || inline.password,
    identityToken: text('identitytoken'),
    registryToken: text('registrytoken'),
  };
  return isEmptyCredential(credential) ? undefined : credential;
}

/** The `auth` of Docker's config.json: base64 of `user:password`; empty texts when it is not that. */
export function splitBasic(auth: string): { readonly username: string; readonly password: string } {
  const text = Buffer.from(auth, 'base64').toString('utf8').replace(/\0+$/, '');
  const colon = text.indexOf(':');
  return colon < 1
    ? { username: '', password: '' }
    : { username: text.slice(0, colon), password: text.slice(colon + 1) };
}

export function joinBasic(username: string, password: string): string {
  return Buffer.from(`${username}:${password}`).toString('base64');
}
