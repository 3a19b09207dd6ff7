/** Who a container runs as: the rules of Docker over the image's own passwd and group files. Pure. */
import { invalidField } from '#common/errors.ts';

/** Ids above are negative to some programs, which take them for root or for nobody (CVE-2024-40635). */
const ID_MAX = 2 ** 31 - 1;

export interface ResolvedUser {
  readonly uid: number;
  readonly gid: number;
  /** Without `gid`, ascending. */
  readonly additionalGids: readonly number[];
  readonly home: string;
}

interface PasswdEntry {
  readonly name: string;
  readonly uid: number;
  readonly gid: number;
  readonly home: string;
}

interface GroupEntry {
  readonly name: string;
  readonly gid: number;
  readonly members: readonly string[];
}

/** A decimal id within bounds; undefined for anything else. Leading zeros are decimal too, as everywhere. */
function parseId(text: string | undefined): number | undefined {
  if (text === undefined || !/^\d{1,10}$/.test(text)) return undefined;
  const id = Number(text);
  return id <= ID_MAX ? id : undefined;
}

function parsePasswd(text: string): readonly PasswdEntry[] {
  const entries: PasswdEntry[] = [];
  for (const line of text.split('\n')) {
    const [name, , uidText, gidText, , home] = line.trim().split(':');
    const uid = parseId(uidText);
    const gid = parseId(gidText);
    if (name === undefined || name === '' || uid === undefined || gid === undefined) continue;
    entries.push({ name, uid, gid, home: home === undefined || home === '' ? '/' : home });
  }
  return entries;
}

function parseGroup(text: string): readonly GroupEntry[] {
  const entries: GroupEntry[] = [];
  for (const line of text.split('\n')) {
    const [name, , gidText, members] = line.trim().split(':');
    const gid = parseId(gidText);
    if (name === undefined || name === '' || gid === undefined) continue;
    entries.push({ name, gid, members: (members ?? '').split(',').filter((member) => member !== '') });
  }
  return entries;
}

const NUMERIC = /^[+-]?\d+$/;

function refuse(field: string, text: string, why: string): never {
  throw invalidField(
    field,
    `${field}: ${JSON.stringify(text)} ${why}`,
    `use a name that the image's /etc/${field === 'user' ? 'passwd' : 'group'} has, or a number from 0 to ${ID_MAX}`,
  );
}

/** A number is always taken as an id, even where an entry has it as its name (CVE-2016-3697). */
function findUser(field: string, text: string, entries: readonly PasswdEntry[]): PasswdEntry {
  if (!NUMERIC.test(text)) {
    const found = entries.find((entry) => entry.name === text);
    return found ?? refuse(field, text, 'is not a user of the image');
  }
  const uid = parseId(text);
  if (uid === undefined) return refuse(field, text, `is out of range`);
  return entries.find((entry) => entry.uid === uid) ?? { name: '', uid, gid: 0, home: '/' };
}

function findGroup(field: string, text: string, entries: readonly GroupEntry[]): number {
  if (!NUMERIC.test(text)) {
    const found = entries.find((entry) => entry.name === text);
    return found?.gid ?? refuse(field, text, 'is not a group of the image');
  }
  return parseId(text) ?? refuse(field, text, `is out of range`);
}

/**
 * Resolves `user[:group]` and further groups. The user's own further groups count only when no group is named, as
 * with Docker. Throws `bad-field` for unknown names and ids beyond 2^31-1.
 */
export function resolveUser(
  spec: string,
  extraGroups: readonly string[],
  passwdText: string,
  groupText: string,
): ResolvedUser {
  const parts = spec.split(':');
  if (parts.length > 2) refuse('user', spec, 'has more than one colon');
  const [userText = '', groupName = ''] = parts;
  const groups = parseGroup(groupText);
  const user = findUser('user', userText === '' ? '0' : userText, parsePasswd(passwdText));
  const gid = groupName === '' ? user.gid : findGroup('group', groupName, groups);
  const additional = new Set(extraGroups.map((group) => findGroup('groups', group, groups)));
  if (groupName === '' && user.name !== '')
    for (const group of groups) if (group.members.includes(user.name)) additional.add(group.gid);
  additional.delete(gid);
  return { uid: user.uid, gid, additionalGids: [...additional].sort((a, b) => a - b), home: user.home };
}
