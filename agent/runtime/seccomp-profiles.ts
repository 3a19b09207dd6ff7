/** The system's seccomp profile, and the filters made of it. */
import { readFile } from 'node:fs/promises';
import { hasErrno } from '#agent/kernel/libc.ts';
import { SwarmError } from '#common/errors.ts';
import type { SeccompProfile } from '#common/seccomp-profile.ts';
import type { OciSeccomp } from './spec/oci-spec.ts';
import { buildSeccomp, type SeccompRequest } from './spec/seccomp.ts';

/** Of the package containers-common; an operator's own comes first. */
const PATHS: readonly string[] = ['/etc/containers/seccomp.json', '/usr/share/containers/seccomp.json'];
/** One for each set of capabilities in use; past this many the oldest is made again when needed. */
const CACHE_ENTRIES_MAX = 64;

export class SeccompProfiles {
  readonly #profile: SeccompProfile;
  readonly #cache = new Map<string, OciSeccomp>();

  private constructor(profile: SeccompProfile) {
    this.#profile = profile;
  }

  /** Reads `path`, or the system's own profile. Throws `preflight` when there is none: no container runs without. */
  static async load(path: string | undefined): Promise<SeccompProfiles> {
    for (const candidate of path === undefined ? PATHS : [path]) {
      try {
        return new SeccompProfiles(JSON.parse(await readFile(candidate, 'utf8')) as SeccompProfile);
      } catch (error) {
        if (hasErrno(error, 'ENOENT')) continue;
        throw unusable(`cannot read the seccomp profile ${candidate}: ${(error as Error).message}`, error);
      }
    }
    throw unusable(`there is no seccomp profile at ${path ?? PATHS.join(' or ')}`, undefined);
  }

  filterFor(request: SeccompRequest): OciSeccomp {
    const key = `${request.architecture} ${request.with32Bit} ${request.capabilities.toSorted().join(' ')}`;
    const cached = this.#cache.get(key);
    if (cached !== undefined) return cached;
    const filter = buildSeccomp(this.#profile, request);
    const [oldest] = this.#cache.keys();
    if (this.#cache.size >= CACHE_ENTRIES_MAX && oldest !== undefined) this.#cache.delete(oldest);
    this.#cache.set(key, filter);
    return filter;
  }
}

function unusable(message: string, cause: unknown): SwarmError {
  return new SwarmError({
    code: 'precondition',
    reason: 'preflight',
    message,
    hint: 'install the package golang-github-containers-common (containers-common elsewhere)',
    cause,
  });
}
