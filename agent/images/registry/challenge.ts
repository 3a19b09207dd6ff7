/** The WWW-Authenticate header of a registry. */

export interface Challenge {
  readonly scheme: 'basic' | 'bearer';
  readonly parameters: Readonly<Record<string, string>>;
}

const HEADER_BYTES_MAX = 8 * 1024;
const SCHEME = /^\s*,?\s*([A-Za-z]+)(?:\s+|$|(?=,))/;
const PARAMETER = /^\s*,?\s*([A-Za-z0-9_-]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s",]+))/;

/** All challenges that are understood, in their order; a malformed rest is left out. */
export function parseChallenges(header: string): readonly Challenge[] {
  const challenges: Challenge[] = [];
  let rest = header.slice(0, HEADER_BYTES_MAX);
  for (;;) {
    const scheme = SCHEME.exec(rest);
    if (scheme === null) return challenges;
    rest = rest.slice(scheme[0].length);
    const parameters: [string, string][] = [];
    for (let found = PARAMETER.exec(rest); found !== null; found = PARAMETER.exec(rest)) {
      parameters.push([(found[1] ?? '').toLowerCase(), (found[2] ?? found[3] ?? '').replaceAll(/\\(.)/g, '$1')]);
      rest = rest.slice(found[0].length);
    }
    const name = scheme[1]?.toLowerCase();
    if (name === 'basic' || name === 'bearer')
      challenges.push({ scheme: name, parameters: Object.fromEntries(parameters) });
  }
}
