/** Further options of a tmpfs mount that a user may choose. Pure. */

const FLAGS: ReadonlySet<string> = new Set([
  'exec',
  'noexec',
  'suid',
  'nosuid',
  'dev',
  'nodev',
  'noswap',
  'sync',
  'noatime',
]);
const VALUES: Readonly<Record<string, RegExp>> = {
  uid: /^\d{1,10}$/,
  gid: /^\d{1,10}$/,
  nr_inodes: /^\d{1,15}[kmg]?$/i,
  nr_blocks: /^\d{1,15}[kmg]?$/i,
  huge: /^(?:never|always|within_size|advise)$/,
};

/** What is wrong with the option; undefined when nothing is. */
export function tmpfsOptionProblem(option: string): string | undefined {
  const at = option.indexOf('=');
  if (at < 0) return FLAGS.has(option) ? undefined : `there is no option ${JSON.stringify(option)}`;
  const key = option.slice(0, at);
  const pattern = Object.hasOwn(VALUES, key) ? VALUES[key] : undefined;
  if (pattern === undefined) return `there is no option ${JSON.stringify(key)}`;
  return pattern.test(option.slice(at + 1)) ? undefined : `${JSON.stringify(option)} has no usable value`;
}

export const TMPFS_OPTIONS_HINT = `use ${[...FLAGS].join(', ')}, ${Object.keys(VALUES).join('=, ')}=`;
