/** How the cgroup hierarchies of this machine are laid out. Pure: decided from the text of /proc/self/mountinfo. */
import { SwarmError } from '#common/errors.ts';
import { parseMountInfo } from '../mount-info.ts';

export type CgroupMode =
  | 'v2' // one hierarchy for everything
  | 'v1' // one hierarchy a controller
  | 'hybrid'; // as v1, with an empty v2 hierarchy beside

export interface CgroupLayout {
  readonly mode: CgroupMode;
  /** v2 only: the mount point of the one hierarchy. */
  readonly unified: string | undefined;
  /** v1 and hybrid: mount point by controller; "cpu" and "cpuacct" may share one; also "name=systemd". */
  readonly controllers: ReadonlyMap<string, string>;
  /**
   * Hybrid only: whether this process sees the v2 hierarchy. crun refuses to work where it does, so the agent covers
   * it in a mount namespace of its own.
   */
  readonly unifiedVisible: boolean;
}

const ROOT = '/sys/fs/cgroup';
const NOT_CONTROLLERS: ReadonlySet<string> = new Set(['rw', 'ro', 'xattr', 'clone_children', 'noprefix', 'none']);

function isController(option: string): boolean {
  return !NOT_CONTROLLERS.has(option) && !option.startsWith('release_agent=');
}

/** Reads the layout; `root` is where systemd and others mount it. Throws `precondition` when there are no cgroups. */
export function readCgroupLayout(mountInfo: string, root: string = ROOT): CgroupLayout {
  const topType = new Map<string, string>();
  const controllers = new Map<string, string>();
  let hasUnified = false;
  for (const mount of parseMountInfo(mountInfo)) {
    if (mount.target !== root && !mount.target.startsWith(`${root}/`)) continue;
    topType.set(mount.target, mount.type);
    if (mount.type === 'cgroup2' && mount.target !== root) hasUnified = true;
    if (mount.type !== 'cgroup') continue;
    for (const option of mount.superOptions) if (isController(option)) controllers.set(option, mount.target);
  }
  if (topType.get(root) === 'cgroup2')
    return { mode: 'v2', unified: root, controllers: new Map(), unifiedVisible: false };
  if (controllers.size === 0)
    throw new SwarmError({
      code: 'precondition',
      reason: 'preflight',
      message: `no cgroup hierarchy is mounted below ${root}`,
      hint: 'mount the cgroup2 file system there, as systemd does: mount -t cgroup2 none /sys/fs/cgroup',
    });
  const unifiedVisible = [...topType.values()].includes('cgroup2');
  return { mode: hasUnified ? 'hybrid' : 'v1', unified: undefined, controllers, unifiedVisible };
}

/** The directories of one cgroup: one on v2, one a hierarchy on v1. */
export function cgroupDirectories(layout: CgroupLayout, path: string): readonly string[] {
  if (layout.unified !== undefined) return [layout.unified + path];
  return [...new Set(layout.controllers.values())].map((mountPoint) => mountPoint + path);
}

const SEGMENT = /^[A-Za-z0-9_][A-Za-z0-9_.@:-]*$/;

/** Whether the text may be a cgroup path: absolute, not the root, plain segments. Checked before any path is joined. */
export function isCgroupPath(path: string): boolean {
  return (
    path.startsWith('/') &&
    path.length <= 1024 &&
    path
      .slice(1)
      .split('/')
      .every((segment) => SEGMENT.test(segment))
  );
}
