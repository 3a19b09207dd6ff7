/** /proc/PID/mountinfo, the one complete list of mounts (see proc_pid_mountinfo(5)). */

export interface MountInfo {
  readonly id: number;
  readonly parentId: number;
  /** The directory of the file system that is mounted: "/" but for bind mounts and cgroups seen from inside. */
  readonly root: string;
  readonly target: string;
  readonly type: string;
  readonly source: string;
  /** Options of the file system, for cgroup v1 the names of its controllers. */
  readonly superOptions: readonly string[];
  /** "shared:1", "master:2", ... */
  readonly propagation: readonly string[];
}

function unescapeOctal(text: string): string {
  return text.replace(/\\([0-7]{3})/g, (_match, digits: string) => String.fromCharCode(Number.parseInt(digits, 8)));
}

/** In the order of the kernel: a later mount with the same target lies on top of an earlier one. */
export function parseMountInfo(text: string): readonly MountInfo[] {
  const mounts: MountInfo[] = [];
  for (const line of text.split('\n')) {
    const fields = line.split(' ');
    const separator = fields.indexOf('-', 6);
    const [id, parentId, , root, target] = fields;
    const [type, source, superOptions] = fields.slice(separator + 1);
    if (separator < 0 || root === undefined || target === undefined || type === undefined) continue;
    mounts.push({
      id: Number(id),
      parentId: Number(parentId),
      root: unescapeOctal(root),
      target: unescapeOctal(target),
      type,
      source: unescapeOctal(source ?? ''),
      superOptions: superOptions === undefined || superOptions === '' ? [] : superOptions.split(','),
      propagation: fields.slice(6, separator),
    });
  }
  return mounts;
}

/** Targets at or below a directory, innermost and newest first: the order in which they can be unmounted. */
export function mountsBelow(mounts: readonly MountInfo[], directory: string): readonly string[] {
  return mounts
    .filter((mount) => mount.target === directory || mount.target.startsWith(`${directory}/`))
    .map((mount) => mount.target)
    .toReversed();
}
