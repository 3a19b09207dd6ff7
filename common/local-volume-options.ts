/**
 * Options of the volume driver `local`, in Docker's words: `type`, `device`, `o`, and `size` of a tmpfs. Agents mount by
 * them, managers check them and know by them whether a volume's data is on its node. Pure.
 */
import { invalidField, type SwarmError } from '#common/errors.ts';

/** What is mounted where the volume's data is looked for. */
export interface LocalMount {
  readonly type: string;
  readonly device: string;
  /** For mount(8): each a word, or key=value. */
  readonly options: readonly string[];
  /** Given on to every node alike: the data is not one node's. */
  readonly isRemote: boolean;
}

export type LocalOptions =
  /** A plain directory of the node. */
  | { readonly ok: true; readonly mount: undefined }
  | { readonly ok: true; readonly mount: LocalMount }
  | { readonly ok: false; readonly error: SwarmError };

const REMOTE_TYPES: ReadonlySet<string> = new Set(['nfs', 'nfs4', 'cifs', 'smb3', 'ceph', 'glusterfs', 'lustre', '9p']);
const KEYS = ['type', 'device', 'o', 'size'] as const;
const OPTION_BYTES_MAX = 4096;
const SIZE = /^\d+(?:\.\d+)?(?:[kmgt]i?)?b?$|^\d{1,3}%$/i;
/** The unsafe ones: more than mounting would be done. */
const REFUSED_WORDS = /^(?:loop|helper|uhelper|remount|move|x-mount\..*|rbind\+.*)(?:=|$)/i;

/** @param field what the options are of, for the error: `driver_options` */
export function parseLocalOptions(field: string, options: Readonly<Record<string, string>>): LocalOptions {
  const refuse = (message: string, hint: string): LocalOptions => ({
    ok: false,
    error: invalidField(field, `${field}: ${message}`, hint),
  });
  for (const [key, value] of Object.entries(options)) {
    if (!(KEYS as readonly string[]).includes(key))
      return refuse(`the volume driver local takes no option ${JSON.stringify(key)}`, `use ${KEYS.join(', ')}`);
    if (/[\0\n]/.test(value) || value.length > OPTION_BYTES_MAX)
      return refuse(
        `option ${key} has a line break or is longer than ${OPTION_BYTES_MAX} bytes`,
        'write it in one line',
      );
  }
  const { type = '', device = '', o = '', size } = options;
  if (type === '' && device === '' && o === '' && size === undefined) return { ok: true, mount: undefined };
  if (!/^[a-z0-9_.]{0,32}$/i.test(type))
    return refuse(`type ${JSON.stringify(type)} is no file system`, 'use nfs, tmpfs, none ...');
  const words = o.split(',').filter((word) => word !== '');
  const unsafe = words.find((word) => REFUSED_WORDS.test(word));
  if (unsafe !== undefined) return refuse(`o: ${JSON.stringify(unsafe)} is not taken`, 'leave it out');
  if (type === 'tmpfs') return tmpfs(words, size, refuse);
  if (size !== undefined)
    return refuse(
      'size limits a volume of type tmpfs only: a directory has no size',
      'use type=tmpfs, or leave size out',
    );
  const isBind = words.includes('bind') || words.includes('rbind');
  if (device === '' || (type === '' && !isBind))
    return refuse(
      `${device === '' ? 'device' : 'type'} is missing`,
      'a directory: type=none,o=bind,device=/srv/data; NFS: type=nfs,o=addr=10.0.0.1,device=:/export',
    );
  if (isBind && !/^\/(?!.*(?:^|\/)\.\.(?:\/|$))/.test(device))
    return refuse(`device ${JSON.stringify(device)} is not an absolute path`, 'name the directory from / on');
  return {
    ok: true,
    mount: { type: isBind ? 'none' : type, device, options: words, isRemote: REMOTE_TYPES.has(type.toLowerCase()) },
  };
}

function tmpfs(
  words: readonly string[],
  size: string | undefined,
  refuse: (message: string, hint: string) => LocalOptions,
): LocalOptions {
  if (size !== undefined && !SIZE.test(size))
    return refuse(`size ${JSON.stringify(size)} is no size`, 'write 100m or 2g');
  const unusable = words.find((word) => !isUsableByTmpfs(word));
  if (unusable !== undefined)
    return refuse(
      `o: ${JSON.stringify(unusable)} has no value that a tmpfs takes`,
      'write o=size=100m,mode=1777,uid=0',
    );
  const sized = size === undefined ? [] : [`size=${size.replace(/i?b$/i, '').toLowerCase()}`];
  return { ok: true, mount: { type: 'tmpfs', device: 'tmpfs', options: [...words, ...sized], isRemote: false } };
}

const TMPFS_VALUES: Readonly<Record<string, RegExp>> = {
  size: /^\d+[kmgtpe%]?$/i,
  mode: /^[0-7]{1,4}$/,
  uid: /^\d{1,10}$/,
  gid: /^\d{1,10}$/,
  nr_inodes: /^\d{1,15}[kmg]?$/i,
  nr_blocks: /^\d{1,15}[kmg]?$/i,
};

/** What the kernel would refuse when the first task wants the volume. Words that are not known here are left to it. */
function isUsableByTmpfs(word: string): boolean {
  const at = word.indexOf('=');
  const key = at < 0 ? word : word.slice(0, at);
  const pattern = Object.hasOwn(TMPFS_VALUES, key) ? TMPFS_VALUES[key] : undefined;
  return pattern === undefined || (at >= 0 && pattern.test(word.slice(at + 1)));
}

/** Whether what is in such a volume is on its node and nowhere else. Plugins decide for themselves: theirs may move. */
export function isNodeLocal(driver: string, options: Readonly<Record<string, string>>): boolean {
  if (!isLocalDriver(driver)) return false;
  const parsed = parseLocalOptions('driver_options', options);
  return !parsed.ok || parsed.mount?.isRemote !== true;
}

export function isLocalDriver(driver: string): boolean {
  return driver === '' || driver === 'local';
}
