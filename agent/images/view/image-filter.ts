/** Which images a list shows. */
import { SwarmError } from '#common/errors.ts';
import { canonicalRepository, familiarName, familiarRepository, parseImageReference } from '#common/image-reference.ts';
import type { ImageSummary } from './image-summary.ts';

export interface ImageListRequest {
  /** Also those that only other images are built on. */
  readonly all: boolean;
  /** Repository, or repository:tag; undefined means all. */
  readonly reference: string | undefined;
  /** Patterns over names. */
  readonly patterns: readonly string[];
  /** "key" or "key=value": all of them. */
  readonly labels: readonly string[];
  readonly dangling: boolean | undefined;
  readonly createdBeforeMs: number | undefined;
  readonly createdSinceMs: number | undefined;
}

export const ALL_IMAGES: ImageListRequest = {
  all: false,
  reference: undefined,
  patterns: [],
  labels: [],
  dangling: undefined,
  createdBeforeMs: undefined,
  createdSinceMs: undefined,
};

const PATTERN_LENGTH_MAX = 512;

/** Whether one of the filters, "key" or "key=value", fits. */
export function matchesLabels(labels: Readonly<Record<string, string>>, filters: readonly string[]): boolean {
  return filters.some((filter) => {
    const equals = filter.indexOf('=');
    const key = equals === -1 ? filter : filter.slice(0, equals);
    return Object.hasOwn(labels, key) && (equals === -1 || labels[key] === filter.slice(equals + 1));
  });
}

/** A pattern of Go's path.Match: `*` and `?` stay within one part of the path, `[a-z]` and `[^a-z]` are classes. */
export function patternToRegExp(pattern: string): RegExp {
  let source = '';
  let rest = pattern.slice(0, PATTERN_LENGTH_MAX);
  while (rest !== '') {
    const klass = /^\[(\^?)((?:\\.|[^\]\\])+)\]/.exec(rest);
    const first = rest[0] ?? '';
    if (klass !== null) {
      source += `[${klass[1]}${(klass[2] ?? '').replaceAll(/[[\]^&~|]/g, '\\$&')}]`;
      rest = rest.slice(klass[0].length);
      continue;
    }
    const escaped = first === '\\' && rest.length > 1;
    if (first === '[' || (first === '\\' && !escaped))
      throw new SwarmError({
        code: 'invalid',
        reason: 'bad-flag',
        field: '--filter',
        message: `${JSON.stringify(pattern)} is not a pattern`,
        hint: 'write *, ? and [a-z], and a backslash before a character that means itself',
      });
    if (escaped) source += quote(rest[1] ?? '');
    // Several stars in a row mean what one does; as one they cannot make the search slow.
    else if (first === '*') source += source.endsWith('[^/]*') ? '' : '[^/]*';
    else source += first === '?' ? '[^/]' : quote(first);
    rest = rest.slice(escaped ? 2 : 1);
  }
  return new RegExp(`^${source}$`);
}

function quote(character: string): string {
  return character.replace(/[\\^$.*+?()[\]{}|/-]/g, '\\$&');
}

/** A pattern without a tag means every tag. */
function matchesPattern(image: ImageSummary, pattern: RegExp): boolean {
  return image.names.some((name) => pattern.test(familiarName(name)) || pattern.test(familiarRepository(name)));
}

function matchesReference(image: ImageSummary, text: string): boolean {
  const parsed = parseImageReference(text);
  if (!parsed.ok) return matchesPattern(image, patternToRegExp(text));
  const { tag, digest } = parsed.value;
  const repository = canonicalRepository(parsed.value);
  return image.names.some(
    (name) =>
      canonicalRepository(name) === repository &&
      (tag === undefined || name.tag === tag) &&
      (digest === undefined || name.digest === digest),
  );
}

export function isListed(image: ImageSummary, request: ImageListRequest): boolean {
  if (image.intermediate && !request.all) return false;
  if (request.dangling !== undefined && (image.names.length === 0 && !image.intermediate) !== request.dangling)
    return false;
  if (request.reference !== undefined && !matchesReference(image, request.reference)) return false;
  if (request.createdBeforeMs !== undefined && image.createdAtMs >= request.createdBeforeMs) return false;
  if (request.createdSinceMs !== undefined && image.createdAtMs <= request.createdSinceMs) return false;
  if (!request.labels.every((label) => matchesLabels(image.document?.config.labels ?? {}, [label]))) return false;
  if (request.patterns.length === 0) return true;
  return request.patterns.map(patternToRegExp).some((pattern) => matchesPattern(image, pattern));
}
