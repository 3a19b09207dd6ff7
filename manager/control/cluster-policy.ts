/** What services may ask of nodes beyond a plain container: the swarm's policy, which allows nothing unless told to. */
import { SwarmError } from '#common/errors.ts';
import {
  ClusterPolicy,
  type ContainerSpec,
  SeccompMode,
  type SecurityOptions,
  type ServiceSpec,
  type TaskSpec,
} from '#gen/swarm/v1/specs.ts';
import type { StoreView } from '#manager/store/index.ts';

interface PolicyRule {
  readonly allowed: (policy: ClusterPolicy) => boolean;
  /** Of `swarm update`. */
  readonly flag: string;
  /** The field that asks for it, as the user knows it; undefined when none does. */
  readonly askedBy: (spec: ContainerSpec) => string | undefined;
}

const RULES: readonly PolicyRule[] = [
  {
    allowed: (policy) => policy.allowPrivileged,
    flag: 'allow-privileged',
    askedBy: ({ privileged }) => (privileged ? 'privileged' : undefined),
  },
  { allowed: (policy) => policy.allowDevices, flag: 'allow-devices', askedBy: deviceField },
  { allowed: (policy) => policy.allowHostNamespaces, flag: 'allow-host-namespaces', askedBy: namespaceField },
  { allowed: (policy) => policy.allowUnconfined, flag: 'allow-unconfined', askedBy: unconfinedField },
];

function deviceField({ devices, deviceCgroupRules }: ContainerSpec): string | undefined {
  if (devices.length > 0) return 'device';
  return deviceCgroupRules.length > 0 ? 'device-cgroup-rule' : undefined;
}

function namespaceField({ pidMode, ipcMode, utsMode, usernsMode, cgroupnsMode }: ContainerSpec): string | undefined {
  const modes = { pid: pidMode, ipc: ipcMode, uts: utsMode, userns: usernsMode, cgroupns: cgroupnsMode };
  return Object.entries(modes).find(([, mode]) => mode === 'host')?.[0];
}

/** Annotations by which a runtime is told to make the container otherwise than its spec says. */
const RUNTIME_ANNOTATION = /^(?:run\.oci\.|org\.systemd\.|io\.katacontainers\.|dev\.gvisor\.)/;

function unconfinedField({ security, annotations }: ContainerSpec): string | undefined {
  if (security !== undefined && isUnconfined(security)) return 'security-opt';
  return Object.keys(annotations).some((key) => RUNTIME_ANNOTATION.test(key)) ? 'annotation' : undefined;
}

/** A profile or label of one's own may allow anything. A level only sets apart. */
function isUnconfined({ seccomp, apparmor, selinuxLabels, systemPathsUnconfined }: SecurityOptions): boolean {
  const isOpen = seccomp === SeccompMode.UNCONFINED || seccomp === SeccompMode.CUSTOM;
  return (
    isOpen || apparmor !== '' || systemPathsUnconfined || Object.keys(selinuxLabels).some((key) => key !== 'level')
  );
}

function policyOf(view: StoreView): ClusterPolicy {
  return view.cluster()?.spec?.policy ?? ClusterPolicy.create();
}

interface Breach {
  readonly field: string;
  readonly flag: string;
}

function breachOf(policy: ClusterPolicy, spec: ContainerSpec): Breach | undefined {
  for (const { allowed, flag, askedBy } of RULES) {
    const field = allowed(policy) ? undefined : askedBy(spec);
    if (field !== undefined) return { field, flag };
  }
  return undefined;
}

/**
 * The spec as the policy wants it. A spec whose tasks stay as they are (`before` is what they were made of) is not
 * judged again: a service that was allowed once can be scaled.
 * @throws SwarmError `policy` that names what is refused, and how an operator allows it
 */
export function underPolicy(view: StoreView, spec: ServiceSpec, before?: TaskSpec): ServiceSpec {
  const { task } = spec;
  if (task?.container === undefined) return spec;
  const policy = policyOf(view);
  const breach =
    before?.container === undefined || asksAnew(before.container, task.container)
      ? breachOf(policy, task.container)
      : undefined;
  if (breach !== undefined)
    throw new SwarmError({
      code: 'denied',
      reason: 'policy',
      field: breach.field,
      message: `${breach.field}: the policy of this swarm does not allow it`,
      hint: `leave it out, or have an operator allow it for all services: swarm update --${breach.flag}=true`,
    });
  if (!policy.requireNoNewPrivileges || task.container.noNewPrivileges) return spec;
  return { ...spec, task: { ...task, container: { ...task.container, noNewPrivileges: true } } };
}

/** What of a spec the rules look at. */
function asked(spec: ContainerSpec): string {
  const { privileged, devices, deviceCgroupRules, security, annotations } = spec;
  const { pidMode, ipcMode, utsMode, usernsMode, cgroupnsMode } = spec;
  const modes = [pidMode, ipcMode, utsMode, usernsMode, cgroupnsMode];
  return JSON.stringify([privileged, devices, deviceCgroupRules, security, annotations, modes]);
}

function asksAnew(before: ContainerSpec, after: ContainerSpec): boolean {
  return before.image !== after.image || asked(before) !== asked(after);
}

/** Services that a new policy would refuse; they run on, and a sentence says so. */
export function policyWarnings(view: StoreView, policy: ClusterPolicy | undefined): readonly string[] {
  const breaches: string[] = [];
  for (const { spec, pendingDelete } of view.all('service')) {
    const container = pendingDelete ? undefined : spec?.task?.container;
    const breach = container === undefined ? undefined : breachOf(policy ?? ClusterPolicy.create(), container);
    if (breach !== undefined) breaches.push(`${spec?.name} (${breach.field})`);
  }
  if (breaches.length === 0) return [];
  const shown = breaches.toSorted().slice(0, NAMES_SHOWN);
  const more = breaches.length > shown.length ? ` and ${breaches.length - shown.length} more` : '';
  return [
    `services that ask for more than the policy allows run on until they are changed: ${shown.join(', ')}${more}`,
  ];
}

const NAMES_SHOWN = 10;
