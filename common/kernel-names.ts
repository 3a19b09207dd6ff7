/** Names that the kernel gives to what a container is told: capabilities, limits of processes, settings. */

/** In the order of the kernel: the index is the bit. Without CAP_. */
export const CAPABILITIES: readonly string[] = [
  'CHOWN',
  'DAC_OVERRIDE',
  'DAC_READ_SEARCH',
  'FOWNER',
  'FSETID',
  'KILL',
  'SETGID',
  'SETUID',
  'SETPCAP',
  'LINUX_IMMUTABLE',
  'NET_BIND_SERVICE',
  'NET_BROADCAST',
  'NET_ADMIN',
  'NET_RAW',
  'IPC_LOCK',
  'IPC_OWNER',
  'SYS_MODULE',
  'SYS_RAWIO',
  'SYS_CHROOT',
  'SYS_PTRACE',
  'SYS_PACCT',
  'SYS_ADMIN',
  'SYS_BOOT',
  'SYS_NICE',
  'SYS_RESOURCE',
  'SYS_TIME',
  'SYS_TTY_CONFIG',
  'MKNOD',
  'LEASE',
  'AUDIT_WRITE',
  'AUDIT_CONTROL',
  'SETFCAP',
  'MAC_OVERRIDE',
  'MAC_ADMIN',
  'SYSLOG',
  'WAKE_ALARM',
  'BLOCK_SUSPEND',
  'AUDIT_READ',
  'PERFMON',
  'BPF',
  'CHECKPOINT_RESTORE',
];

/** Without CAP_, in capitals; undefined for what is no capability. `ALL` stands for every one. */
export function capabilityName(text: string): string | undefined {
  const plain = text.toUpperCase().replace(/^CAP_/, '');
  return plain === 'ALL' || CAPABILITIES.includes(plain) ? plain : undefined;
}

/** Name of a ulimit, and the beginning of its line in /proc/PID/limits. */
export const ULIMITS: ReadonlyMap<string, string> = new Map([
  ['as', 'Max address space'],
  ['core', 'Max core file size'],
  ['cpu', 'Max cpu time'],
  ['data', 'Max data size'],
  ['fsize', 'Max file size'],
  ['locks', 'Max file locks'],
  ['memlock', 'Max locked memory'],
  ['msgqueue', 'Max msgqueue size'],
  ['nice', 'Max nice priority'],
  ['nofile', 'Max open files'],
  ['nproc', 'Max processes'],
  ['rss', 'Max resident set'],
  ['rtprio', 'Max realtime priority'],
  ['rttime', 'Max realtime timeout'],
  ['sigpending', 'Max pending signals'],
  ['stack', 'Max stack size'],
]);

const IPC_SETTINGS: ReadonlySet<string> = new Set([
  'kernel.msgmax',
  'kernel.msgmnb',
  'kernel.msgmni',
  'kernel.sem',
  'kernel.shmall',
  'kernel.shmmax',
  'kernel.shmmni',
  'kernel.shm_rmid_forced',
]);
const SETTING = /^[a-z0-9_]+(?:[./][A-Za-z0-9_-]+)+$/;

/** The namespace that a kernel setting belongs to; undefined for one of the whole machine, or no setting at all. */
export function namespaceOfSetting(name: string): 'ipc' | 'network' | undefined {
  if (!SETTING.test(name) || name.includes('..')) return undefined;
  if (IPC_SETTINGS.has(name) || name.startsWith('fs.mqueue.')) return 'ipc';
  return name.startsWith('net.') ? 'network' : undefined;
}
