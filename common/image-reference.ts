/**
 * Names of images: `[domain/]path[:tag][@digest]`, by the rules of the distribution project. Strict: what this parser
 * lets through is safe in file names, command lines and URLs. Pure; shared by the CLI, managers and agents.
 */
import { SwarmError } from './errors.ts';

/** The registry that names without a domain mean, and the folder of those without a slash. */
const DEFAULT_DOMAIN = 'docker.io';
const LEGACY_DEFAULT_DOMAIN = 'index.docker.io';
const OFFICIAL_FOLDER = 'library';
export const DEFAULT_TAG = 'latest';
/** Of domain and path together. */
const NAME_LENGTH_MAX = 255;

export interface ImageReference {
  /** Host of the registry, with its port if one was given: `docker.io`, `127.0.0.1:5000`, `[::1]:5000`. */
  readonly domain: string;
  /** Path within the registry: `library/nginx`. */
  readonly path: string;
  /** Undefined when none was given: `latest` is meant unless there is a digest. */
  readonly tag: string | undefined;
  /** `sha256:` and 64 hexadecimal digits. What it names never changes; a tag beside it is only for people. */
  readonly digest: string | undefined;
}

export type ParsedImageReference =
  | { readonly ok: true; readonly value: ImageReference }
  | { readonly ok: false; readonly error: SwarmError };

const DOMAIN_LABEL = '(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]{0,61}[a-zA-Z0-9])';
const DOMAIN = new RegExp(`^(?:${DOMAIN_LABEL}(?:\\.${DOMAIN_LABEL})*|\\[[a-fA-F0-9:]{2,45}\\])(?::[0-9]{1,5})?$`);
const PATH_COMPONENT = /^[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*$/;
const TAG = /^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$/;
const DIGEST = /^sha256:[a-f0-9]{64}$/;
const IMAGE_ID = /^[a-f0-9]{64}$/;

/** `sha256:` and 64 lower-case hexadecimal digits. */
export function isDigest(text: string): boolean {
  return DIGEST.test(text);
}

/** 64 lower-case hexadecimal digits: the id of an image, without `sha256:`. */
export function isImageId(text: string): boolean {
  return IMAGE_ID.test(text);
}

export function isTag(text: string): boolean {
  return TAG.test(text);
}

function refuse(text: string, message: string, hint: string): ParsedImageReference {
  const shown = text.length > 300 ? `${text.slice(0, 300)}...` : text;
  return {
    ok: false,
    error: new SwarmError({
      code: 'invalid',
      reason: 'bad-reference',
      field: 'image',
      message: `${JSON.stringify(shown)} is not a valid image reference: ${message}`,
      hint,
    }),
  };
}

interface SplitReference {
  readonly name: string;
  readonly tag: string | undefined;
  readonly digest: string | undefined;
}

/** A colon is a tag's only behind the last slash; before it, it is a port's. */
function split(text: string): SplitReference {
  const at = text.indexOf('@');
  const digest = at === -1 ? undefined : text.slice(at + 1);
  const rest = at === -1 ? text : text.slice(0, at);
  const colon = rest.indexOf(':', rest.lastIndexOf('/') + 1);
  return colon === -1
    ? { name: rest, tag: undefined, digest }
    : { name: rest.slice(0, colon), tag: rest.slice(colon + 1), digest };
}

function looksLikeHost(component: string): boolean {
  return /[.:]/.test(component) || component === 'localhost' || component !== component.toLowerCase();
}

/** The first component is the registry when it looks like a host. */
function splitName(name: string): { readonly domain: string; readonly path: string } {
  const slash = name.indexOf('/');
  const first = name.slice(0, Math.max(0, slash));
  const isDomain = slash > 0 && looksLikeHost(first);
  const domain = isDomain ? first : DEFAULT_DOMAIN;
  const path = isDomain ? name.slice(slash + 1) : name;
  if (domain !== DEFAULT_DOMAIN && domain !== LEGACY_DEFAULT_DOMAIN) return { domain, path };
  return { domain: DEFAULT_DOMAIN, path: path.includes('/') ? path : `${OFFICIAL_FOLDER}/${path}` };
}

function badPath(text: string, path: string): ParsedImageReference | undefined {
  if (path !== path.toLowerCase())
    return refuse(text, `repository name (${path}) must be lowercase`, `write it as ${path.toLowerCase()}`);
  if (!path.split('/').every((component) => PATH_COMPONENT.test(component)))
    return refuse(
      text,
      `${JSON.stringify(path)} is not a repository name`,
      'use lower case letters and digits, with . _ - between them and / between parts',
    );
  return undefined;
}

/** Reads a reference in any of its forms, familiar (`nginx`) or canonical (`docker.io/library/nginx:latest`). */
export function parseImageReference(text: string): ParsedImageReference {
  if (text === '') return refuse(text, 'it is empty', 'name an image, such as nginx:1.27');
  if (isImageId(text))
    return refuse(text, '64 hexadecimal digits are the id of an image, not a name', 'use a name and tag');
  const { name, tag, digest } = split(text);
  if (digest !== undefined && !isDigest(digest))
    return refuse(text, `${JSON.stringify(digest)} is not a digest`, 'a digest is sha256: and 64 hexadecimal digits');
  if (tag !== undefined && !isTag(tag))
    return refuse(text, `${JSON.stringify(tag)} is not a tag`, 'a tag has up to 128 letters, digits, . _ and -');
  const { domain, path } = splitName(name);
  if (domain.length + 1 + path.length > NAME_LENGTH_MAX)
    return refuse(text, `the name is longer than ${NAME_LENGTH_MAX} characters`, 'choose a shorter name');
  const port = /:(\d+)$/.exec(domain)?.[1];
  if (!DOMAIN.test(domain) || Number(port ?? 1) > 65535 || Number(port ?? 1) === 0)
    return refuse(text, `${JSON.stringify(domain)} is not a registry`, 'a registry is host or host:port');
  return badPath(text, path) ?? { ok: true, value: { domain, path, tag, digest } };
}

/** `docker.io/library/nginx`: domain and path. */
export function canonicalRepository(reference: ImageReference): string {
  return `${reference.domain}/${reference.path}`;
}

/** `nginx`, `user/app`, `registry:5000/app`: as people write it. */
export function familiarRepository(reference: ImageReference): string {
  if (reference.domain !== DEFAULT_DOMAIN) return canonicalRepository(reference);
  const [folder = '', name, ...more] = reference.path.split('/');
  if (folder === OFFICIAL_FOLDER && name !== undefined && more.length === 0) return name;
  // A folder such as `a.b` would be taken for a registry.
  return looksLikeHost(folder) ? canonicalRepository(reference) : reference.path;
}

function suffix(reference: ImageReference): string {
  const tag = reference.tag === undefined ? '' : `:${reference.tag}`;
  return reference.digest === undefined ? tag : `${tag}@${reference.digest}`;
}

/** The whole reference with its domain; adds nothing that was not given. */
export function canonicalName(reference: ImageReference): string {
  return canonicalRepository(reference) + suffix(reference);
}

/** The whole reference as people write it; adds nothing that was not given. */
export function familiarName(reference: ImageReference): string {
  return familiarRepository(reference) + suffix(reference);
}

/** The same reference, with `latest` where neither tag nor digest was given. */
export function withDefaultTag(reference: ImageReference): ImageReference {
  return reference.tag === undefined && reference.digest === undefined ? { ...reference, tag: DEFAULT_TAG } : reference;
}

/** Whether the reference names its content, which then never changes. */
export function isPinned(reference: ImageReference): boolean {
  return reference.digest !== undefined;
}

/** The reference with the digest (one that satisfies `isDigest`) as people write it: `nginx:1.27@sha256:...`. */
export function pinDigest(reference: ImageReference, digest: string): string {
  return familiarName({ ...withDefaultTag(reference), digest });
}

/** Whether only the default registry's own images can have this name, so that no user can have put one there. */
export function isOfficial(reference: ImageReference): boolean {
  return reference.domain === DEFAULT_DOMAIN && reference.path.startsWith(`${OFFICIAL_FOLDER}/`);
}
