/**
 * What of a task's spec an agent has to understand. An agent of an older release would leave it out without a word, so
 * that it gets no task that needs it.
 */
import type { Mount, TaskSpec } from '#gen/swarm/v1/specs.ts';
import { IDENTITY_LEVEL, SERVICES_LEVEL } from './config.ts';

export interface AgentNeed {
  /** As the user knows it. */
  readonly field: string;
  /** Feature level that the agent must have. */
  readonly level: number;
  readonly uses: (task: TaskSpec) => boolean;
}

/** One line per field. */
const AGENT_NEEDS: readonly AgentNeed[] = [
  { field: 'generic-resource', level: SERVICES_LEVEL, uses: hasAny((task) => task.resources?.reservations?.generic) },
  { field: 'memory-swappiness', level: SERVICES_LEVEL, uses: isSet((task) => task.resources?.memorySwappiness) },
  { field: 'health-cmd', level: SERVICES_LEVEL, uses: isSet((task) => task.container?.healthcheck) },
  { field: 'probe', level: SERVICES_LEVEL, uses: isSet((task) => task.container?.probes) },
  { field: 'secret', level: SERVICES_LEVEL, uses: hasAny((task) => task.container?.secrets) },
  { field: 'config', level: SERVICES_LEVEL, uses: hasAny((task) => task.container?.configs) },
  { field: 'privileged', level: SERVICES_LEVEL, uses: ({ container }) => container?.privileged === true },
  { field: 'device', level: SERVICES_LEVEL, uses: hasAny((task) => task.container?.devices) },
  { field: 'device-cgroup-rule', level: SERVICES_LEVEL, uses: hasAny((task) => task.container?.deviceCgroupRules) },
  { field: 'security-opt', level: SERVICES_LEVEL, uses: isSet((task) => task.container?.security) },
  { field: 'shm-size', level: SERVICES_LEVEL, uses: isAmount((task) => task.container?.shmSizeBytes) },
  { field: 'pid', level: SERVICES_LEVEL, uses: isText((task) => task.container?.pidMode) },
  { field: 'ipc', level: SERVICES_LEVEL, uses: isText((task) => task.container?.ipcMode) },
  { field: 'userns', level: SERVICES_LEVEL, uses: isText((task) => task.container?.usernsMode) },
  { field: 'cgroupns', level: SERVICES_LEVEL, uses: isText((task) => task.container?.cgroupnsMode) },
  { field: 'domainname', level: SERVICES_LEVEL, uses: isText((task) => task.container?.domainname) },
  { field: 'runtime', level: SERVICES_LEVEL, uses: isText((task) => task.container?.runtime) },
  { field: 'uts', level: SERVICES_LEVEL, uses: isText((task) => task.container?.utsMode) },
  { field: 'oom-kill-disable', level: SERVICES_LEVEL, uses: ({ container }) => container?.oomKillDisable === true },
  { field: 'memory-soft-limit', level: SERVICES_LEVEL, uses: isAmount((task) => task.resources?.memorySoftBytes) },
  { field: 'cpu-shares', level: SERVICES_LEVEL, uses: isAmount((task) => task.resources?.cpuShares) },
  { field: 'cpuset-cpus', level: SERVICES_LEVEL, uses: isText((task) => task.resources?.cpusetCpus) },
  { field: 'cpuset-mems', level: SERVICES_LEVEL, uses: isText((task) => task.resources?.cpusetMems) },
  { field: 'blkio-weight', level: SERVICES_LEVEL, uses: isSet((task) => task.resources?.blockIo) },
  { field: 'annotation', level: SERVICES_LEVEL, uses: ({ container }) => hasKeys(container?.annotations) },
  { field: 'stop-after-disconnect', level: IDENTITY_LEVEL, uses: isSet((task) => task.stopAfterDisconnectMs) },
  { field: 'mount volume-driver', level: SERVICES_LEVEL, uses: anyMount(({ volume }) => isForeign(volume?.driver)) },
  { field: 'mount volume-opt', level: SERVICES_LEVEL, uses: anyMount(({ volume }) => hasKeys(volume?.driverOptions)) },
  {
    field: 'mount volume-subpath',
    level: SERVICES_LEVEL,
    uses: anyMount(({ volume }) => (volume?.subpath ?? '') !== ''),
  },
  { field: 'mount tmpfs-opt', level: SERVICES_LEVEL, uses: anyMount(({ tmpfs }) => (tmpfs?.options.length ?? 0) > 0) },
];

/** Feature level that an agent must have to run such a task; 0 when any will do. */
export function neededAgentLevel(spec: TaskSpec): number {
  return AGENT_NEEDS.reduce((level, need) => (need.level > level && need.uses(spec) ? need.level : level), 0);
}

/** The first field of a spec that asks for more than this level. */
export function needAbove(level: number, spec: TaskSpec): AgentNeed | undefined {
  return AGENT_NEEDS.find((need) => need.level > level && need.uses(spec));
}

function hasAny(list: (task: TaskSpec) => readonly unknown[] | undefined): (task: TaskSpec) => boolean {
  return (task) => (list(task)?.length ?? 0) > 0;
}

function isSet(value: (task: TaskSpec) => unknown): (task: TaskSpec) => boolean {
  return (task) => value(task) !== undefined;
}

function isAmount(value: (task: TaskSpec) => number | undefined): (task: TaskSpec) => boolean {
  return (task) => (value(task) ?? 0) !== 0;
}

function isText(value: (task: TaskSpec) => string | undefined): (task: TaskSpec) => boolean {
  return (task) => (value(task) ?? '') !== '';
}

function anyMount(uses: (mount: Mount) => boolean): (task: TaskSpec) => boolean {
  return (task) => task.container?.mounts.some(uses) === true;
}

function hasKeys(map: Readonly<Record<string, string>> | undefined): boolean {
  return map !== undefined && Object.keys(map).length > 0;
}

function isForeign(driver: string | undefined): boolean {
  return driver !== undefined && driver !== '' && driver !== 'local';
}
