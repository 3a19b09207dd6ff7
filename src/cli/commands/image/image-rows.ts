/** The rows of `image ls`: one for every name of every image. */
import { familiarRepository, parseImageReference } from '#common/image-reference.ts';
import { pathPattern } from '#common/path-pattern.ts';
import type { Image } from '#gen/swarm/v1/images.ts';
import { CliError } from '../../cli-errors.ts';

const NONE = '<none>';

export interface ImageRow {
  readonly image: Image;
  readonly repository: string;
  readonly tag: string;
  readonly digest: string;
}

export interface RowOptions {
  /** `--digests`. */
  readonly showsDigests: boolean;
  /** A template asks for digests. */
  readonly needsDigests: boolean;
  /** Only names that one of these patterns fits; all when there are none. */
  readonly patterns: readonly string[];
}

interface Repository {
  readonly tags: string[];
  readonly digests: string[];
}

/** Docker's rules: a digest has a row of its own only where its repository has no tag here. */
export function imageRows(images: readonly Image[], options: RowOptions): readonly ImageRow[] {
  const patterns = options.patterns.map(compile);
  return images.flatMap((image) => rowsOf(image, options, patterns));
}

function compile(pattern: string): RegExp {
  const compiled = pathPattern(pattern);
  if (compiled !== undefined) return compiled;
  throw new CliError(`invalid filter 'reference=${pattern}': syntax error in pattern`, {
    hint: 'write *, ? and [a-z], and a backslash before a character that means itself',
  });
}

function rowsOf(image: Image, options: RowOptions, patterns: readonly RegExp[]): readonly ImageRow[] {
  const repositories = repositoriesOf(image, patterns);
  if (repositories.size === 0) return patterns.length > 0 ? [] : [{ image, repository: NONE, tag: NONE, digest: NONE }];
  const rows: ImageRow[] = [];
  const rest: ImageRow[] = [];
  for (const [repository, { tags, digests }] of repositories) {
    const shown = options.needsDigests && digests.length > 0 ? digests : [NONE];
    for (const tag of tags) for (const digest of shown) rows.push({ image, repository, tag, digest });
    if (tags.length > 0) continue;
    const alone = options.showsDigests ? digests : [''];
    for (const digest of alone) rest.push({ image, repository, tag: NONE, digest });
  }
  return [...rows, ...rest];
}

function repositoriesOf(image: Image, patterns: readonly RegExp[]): ReadonlyMap<string, Repository> {
  const repositories = new Map<string, Repository>();
  for (const name of [...image.repoTags, ...image.repoDigests]) {
    const parsed = parseImageReference(name);
    if (!parsed.ok) continue;
    const { tag, digest } = parsed.value;
    const repository = familiarRepository(parsed.value);
    // A pattern without a tag means every tag.
    if (patterns.length > 0 && !patterns.some((pattern) => pattern.test(name) || pattern.test(repository))) continue;
    const names = repositories.get(repository) ?? { tags: [], digests: [] };
    repositories.set(repository, names);
    if (digest !== undefined) names.digests.push(digest);
    else if (tag !== undefined) names.tags.push(tag);
  }
  return repositories;
}
