/** Rules of the device cgroup, as `--device-cgroup-rule` writes them: `c 189:* rmw`. */

export interface DeviceRule {
  /** `a`: both kinds. */
  readonly type: 'a' | 'b' | 'c';
  /** Undefined: all. */
  readonly major: number | undefined;
  readonly minor: number | undefined;
  /** Of r, w and m, each once. */
  readonly access: string;
}

/** Linux has 12 bits for the major number and 20 for the minor one. */
const MAJOR_MAX = 2 ** 12 - 1;
const MINOR_MAX = 2 ** 20 - 1;

/** Undefined for what is no rule. */
export function parseDeviceRule(text: string): DeviceRule | undefined {
  const match = /^([abc]) (\d{1,7}|\*):(\d{1,7}|\*) ([rwm]{1,3})$/.exec(text);
  if (match === null) return undefined;
  const [, type, majorText, minorText, accessText = ''] = match;
  if (type !== 'a' && type !== 'b' && type !== 'c') return undefined;
  const [major, minor] = [numberOf(majorText), numberOf(minorText)];
  if ((major ?? 0) > MAJOR_MAX || (minor ?? 0) > MINOR_MAX) return undefined;
  const access = deviceAccess(accessText);
  return access === undefined ? undefined : { type, major, minor, access };
}

/** Letters of `rwm` in that order; undefined where one is missing from it or is there twice. */
export function deviceAccess(text: string): string | undefined {
  const letters = new Set(text.split(''));
  if (letters.size !== text.length || text === '' || /[^rwm]/.test(text)) return undefined;
  return ['r', 'w', 'm'].filter((letter) => letters.has(letter)).join('');
}

function numberOf(text: string | undefined): number | undefined {
  return text === undefined || text === '*' ? undefined : Number(text);
}
