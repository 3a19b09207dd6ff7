/** Which images a list shows. */
import { SwarmError } from '#common/errors.ts';
import { canonicalRepository, familiarName, familiarRepository, parseImageReference } from '#common/image-reference.ts';
import { pathPattern } from '#common/path-pattern.ts';
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

/** A pattern of the command line as a regular expression. Throws `bad-flag` for what is none. */
export function patternOf(text: string): RegExp {
  const pattern = text.length > PATTERN_LENGTH_MAX ? undefined : pathPattern(text);
  if (pattern !== undefined) return pattern;
  throw new SwarmError({
    code: 'invalid',
    reason: 'bad-flag',
    field: '--filter',
    message: `${JSON.stringify(text.slice(0, PATTERN_LENGTH_MAX))} is not a pattern`,
    hint: `write *, ? and [a-z], and a backslash before a character that means itself; at most ${PATTERN_LENGTH_MAX} characters`,
  });
}

/** A pattern without a tag means every tag. */
function matchesPattern(image: ImageSummary, pattern: RegExp): boolean {
  return image.names.some((name) => pattern.test(familiarName(name)) || pattern.test(familiarRepository(name)));
}

function matchesReference(image: ImageSummary, text: string): boolean {
  const parsed = parseImageReference(text);
  if (!parsed.ok) return matchesPattern(image, patternOf(text));
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
  return request.patterns.map(patternOf).some((pattern) => matchesPattern(image, pattern));
}
