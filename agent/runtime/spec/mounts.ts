/** The mounts of a container: the system's own, and those that users ask for. Pure. */
import type { ContainerSpec, MountSpec } from './container-spec.ts';
import type { OciMount } from './oci-spec.ts';

/** In the order in which the runtime has to make them. */
function systemMounts(spec: ContainerSpec): readonly OciMount[] {
  // A privileged container may change what it sees of the kernel.
  const protection = spec.privileged ? 'rw' : 'ro';
  return [
    { destination: '/proc', type: 'proc', source: 'proc', options: ['nosuid', 'noexec', 'nodev'] },
    {
      destination: '/dev',
      type: 'tmpfs',
      source: 'tmpfs',
      options: ['nosuid', 'strictatime', 'mode=755', 'size=65536k'],
    },
    {
      destination: '/dev/pts',
      type: 'devpts',
      source: 'devpts',
      options: ['nosuid', 'noexec', 'newinstance', 'ptmxmode=0666', 'mode=0620', 'gid=5'],
    },
    { destination: '/sys', type: 'sysfs', source: 'sysfs', options: ['nosuid', 'noexec', 'nodev', protection] },
    {
      destination: '/sys/fs/cgroup',
      type: 'cgroup',
      source: 'cgroup',
      options: ['nosuid', 'noexec', 'nodev', 'relatime', protection],
    },
    ...messageMounts(spec),
  ];
}

/** Shared memory and message queues: those of the namespace that the container is in. */
function messageMounts({ namespaces, shmBytes }: ContainerSpec): readonly OciMount[] {
  const options = ['nosuid', 'noexec', 'nodev'];
  // A new mount shows the queues of whichever namespace it is made in.
  const queues: OciMount = { destination: '/dev/mqueue', type: 'mqueue', source: 'mqueue', options };
  const memory = { destination: '/dev/shm' };
  switch (namespaces.ipc) {
    case 'host':
      return [queues, { ...memory, type: 'bind', source: '/dev/shm', options: ['rbind', ...options] }];
    case 'none':
      return [queues];
    case 'own':
      return [
        queues,
        { ...memory, type: 'tmpfs', source: 'shm', options: [...options, 'mode=1777', `size=${shmBytes}`] },
      ];
  }
}

function bindOptions(readOnly: boolean, propagation: string, recursive: boolean): readonly string[] {
  return [recursive ? 'rbind' : 'bind', propagation, readOnly ? 'ro' : 'rw'];
}

function userMount(mount: MountSpec): OciMount {
  if (mount.kind === 'bind')
    return {
      destination: mount.target,
      type: 'bind',
      source: mount.source,
      options: bindOptions(mount.readOnly, mount.propagation, mount.recursive),
    };
  return {
    destination: mount.target,
    type: 'tmpfs',
    source: 'tmpfs',
    options: [
      ...['suid', 'dev', 'exec'].map((what) => (mount.options.includes(what) ? what : `no${what}`)),
      'rprivate',
      `mode=${mount.mode.toString(8)}`,
      ...(mount.sizeBytes === undefined ? [] : [`size=${mount.sizeBytes}`]),
      ...mount.options.filter((option) => !/^(?:no)?(?:suid|dev|exec)$/.test(option)),
      ...(mount.readOnly ? ['ro'] : []),
    ],
  };
}

/** Files of the host that become files of the container, by their path in the container. */
export type InjectedFiles = Readonly<Record<string, string>>;

/** Parents come before their children, whatever the order in which they were given. Targets are clean and differ. */
export function buildMounts(
  spec: ContainerSpec,
  files: InjectedFiles,
  initBinary: string | undefined,
): readonly OciMount[] {
  const user = spec.mounts.map(userMount);
  const ours = [
    ...systemMounts(spec),
    ...(initBinary === undefined ? [] : [bindFile(INIT_PATH, initBinary, true)]),
    ...Object.entries(files).map(([target, source]) => bindFile(target, source, spec.readOnly)),
  ];
  // A user's mount at the place of one of ours replaces it: an own /etc/hosts, a larger /dev/shm.
  const taken = new Set(user.map((mount) => mount.destination));
  const depth = (mount: OciMount): number => mount.destination.split('/').length;
  return [...ours.filter((mount) => !taken.has(mount.destination)), ...user].toSorted(
    (left, right) => depth(left) - depth(right),
  );
}

function bindFile(target: string, source: string, readOnly: boolean): OciMount {
  return { destination: target, type: 'bind', source, options: bindOptions(readOnly, 'rprivate', false) };
}

/** On the tmpfs at /dev: nothing of the image is touched. */
export const INIT_PATH = '/dev/init';
