/** From what the manager assigns to what runtime, network and volumes are asked for. Pure. */

import { type LogSettings, parseLogOptions } from '#agent/logs/index.ts';
import {
  type AttachRequest,
  type ExpectedPorts,
  GATEWAY_NETWORK,
  type HostPort,
  type NetworkMode,
  type NetworkProtocol,
} from '#agent/network/index.ts';
import {
  EMPTY_CONTAINER_SPEC,
  type ImageDefaults,
  type Propagation,
  type ContainerSpec as RuntimeSpec,
} from '#agent/runtime/index.ts';
import type { TaskAssignment } from '#agent/tasks/index.ts';
import type { TaskMount } from '#agent/volumes/index.ts';
import { invalidField } from '#common/errors.ts';
import { parseSignal, SIGNALS } from '#common/signals.ts';
import {
  type ContainerSpec,
  type Mount,
  MountPropagation,
  MountType,
  PortConfig,
  PortProtocol,
  PublishMode,
  type ResourceRequirements,
  type ServiceSpec,
} from '#gen/swarm/v1/specs.ts';
import { expandTemplate, placeholderValues } from './expand-templates.ts';
import { mapOptions, mapResources } from './map-options.ts';

/** Swarm's default, where the service says nothing. */
const STOP_GRACE_MS = 10_000;
/** Docker's: the first digits of the container's id. */
const HOSTNAME_LENGTH = 12;
const TMPFS_MODE = 0o1777;

const PROPAGATIONS: Readonly<Record<MountPropagation, Propagation>> = {
  [MountPropagation.UNSPECIFIED]: 'rprivate',
  [MountPropagation.RPRIVATE]: 'rprivate',
  [MountPropagation.PRIVATE]: 'private',
  [MountPropagation.RSHARED]: 'rshared',
  [MountPropagation.SHARED]: 'shared',
  [MountPropagation.RSLAVE]: 'rslave',
  [MountPropagation.SLAVE]: 'slave',
};

const PROTOCOLS: Readonly<Record<PortProtocol, NetworkProtocol>> = {
  [PortProtocol.UNSPECIFIED]: 'tcp',
  [PortProtocol.TCP]: 'tcp',
  [PortProtocol.UDP]: 'udp',
  [PortProtocol.SCTP]: 'sctp',
};

export interface MappedTask {
  readonly image: string;
  readonly registryAuth: string;
  /** Mounts come from the volumes, later. */
  readonly spec: RuntimeSpec;
  readonly mounts: readonly TaskMount[];
  readonly attach: AttachRequest;
  /** Undefined: the image's, else SIGTERM. */
  readonly stopSignal: number | undefined;
  readonly stopGraceMs: number;
  readonly log: LogSettings;
}

function positive(value: number | undefined): number | undefined {
  return value === undefined || value <= 0 ? undefined : value;
}

function mapMount(mount: Mount, expand: (field: string, text: string) => string): TaskMount {
  const target = expand('mounts.target', mount.target);
  const source = expand('mounts.source', mount.source);
  const { readOnly } = mount;
  switch (mount.type) {
    case MountType.BIND:
      return {
        kind: 'bind',
        source,
        target,
        readOnly,
        propagation: PROPAGATIONS[mount.bind?.propagation ?? MountPropagation.UNSPECIFIED],
        recursive: mount.bind?.nonRecursive !== true,
        createSource: mount.bind?.createSource === true,
      };
    case MountType.VOLUME:
      return {
        kind: 'volume',
        name: source,
        target,
        readOnly,
        noCopy: mount.volume?.noCopy === true,
        labels: mount.volume?.labels ?? {},
        driver: mount.volume?.driver ?? '',
        driverOptions: mount.volume?.driverOptions ?? {},
        subpath: expand('mounts.volume.subpath', mount.volume?.subpath ?? ''),
      };
    case MountType.TMPFS:
      return {
        kind: 'tmpfs',
        target,
        readOnly,
        sizeBytes: positive(mount.tmpfs?.sizeBytes),
        mode: mount.tmpfs?.mode === undefined || mount.tmpfs.mode === 0 ? TMPFS_MODE : mount.tmpfs.mode & 0o7777,
        options: mount.tmpfs?.options ?? [],
      };
    case MountType.UNSPECIFIED:
      throw invalidField('mounts.type', 'mounts.type: a mount needs a type', 'use bind, volume or tmpfs');
  }
}

function mapSpec(
  container: ContainerSpec,
  resources: ResourceRequirements | undefined,
  hostname: string,
  expand: (field: string, text: string) => string,
): RuntimeSpec {
  return {
    ...EMPTY_CONTAINER_SPEC,
    command: container.command,
    args: container.args,
    env: container.env.map((entry) => expand('env', entry)),
    workingDirectory: container.dir === '' ? undefined : container.dir,
    user: container.user === '' ? undefined : container.user,
    groups: container.groups,
    hostname,
    tty: container.tty,
    openStdin: container.openStdin,
    readOnly: container.readOnly,
    init: container.init ?? false,
    sysctls: container.sysctls,
    ulimits: container.ulimits.map(({ name, soft, hard }) => ({ name, soft, hard })),
    capabilityAdd: container.capabilityAdd,
    capabilityDrop: container.capabilityDrop,
    noNewPrivileges: container.noNewPrivileges,
    oomScoreAdjust: container.oomScoreAdj,
    resources: mapResources(resources, container),
    ...mapOptions(container),
  };
}

/** Throws a SwarmError that names the field for what no node could run. */
export function mapAssignment(assignment: TaskAssignment, architecture: string): MappedTask {
  const { task, spec } = assignment;
  const container = spec.task?.container;
  if (container === undefined) throw invalidField('task.container', 'task.container: the task says nothing to run');
  const values = placeholderValues(assignment, architecture);
  const expand = (field: string, text: string): string => expandTemplate(field, text, values);
  const hostname = hostnameOf(assignment, container, expand);
  const logDriver = spec.task?.logDriver;
  return {
    image: container.image,
    registryAuth: container.registryAuth,
    spec: mapSpec(container, spec.task?.resources, hostname, expand),
    mounts: container.mounts.map((mount) => mapMount(mount, expand)),
    attach: {
      taskId: task.id,
      mode: modeOf(spec),
      networks: task.networks
        .filter((one) => one.network !== GATEWAY_NETWORK && one.addresses.length > 0)
        .map(({ network, addresses }) => ({ networkId: network, addresses })),
      hostname,
      ...(container.domainname === '' ? {} : { domainName: container.domainname }),
      // The scheduler has chosen the numbers that the spec leaves open.
      ports: hostPorts(task.hostPorts.length > 0 ? task.hostPorts : (spec.endpoint?.ports ?? [])),
      hosts: container.hosts,
      dns: container.dns,
    },
    stopSignal: container.stopSignal === '' ? undefined : parseSignal('stopSignal', container.stopSignal),
    stopGraceMs: container.stopGracePeriodMs ?? STOP_GRACE_MS,
    log: parseLogOptions(logDriver?.name ?? '', logDriver?.options ?? {}),
  };
}

function hostnameOf(
  { task, node }: TaskAssignment,
  container: ContainerSpec,
  expand: (field: string, text: string) => string,
): string {
  if (container.utsMode === 'host') return node.hostname;
  return container.hostname === '' ? task.id.slice(0, HOSTNAME_LENGTH) : expand('hostname', container.hostname);
}

/** The predefined networks that leave nothing for others beside them. */
function modeOf(spec: ServiceSpec): NetworkMode {
  const names = spec.task?.networks.map((one) => one.network) ?? [];
  if (names.includes('host')) return 'host';
  return names.includes('none') ? 'none' : 'gateway';
}

/** How long a task that gets no new connections goes on for those that it has. */
export function drainMsOf({ spec }: TaskAssignment): number {
  return spec.endpoint?.drainMs ?? spec.task?.container?.stopGracePeriodMs ?? STOP_GRACE_MS;
}

/** Where others will be led to once the task runs. */
export function expectedPorts({ task, spec }: TaskAssignment, exposed: readonly string[]): ExpectedPorts {
  const published = (spec.endpoint?.ports ?? [])
    .filter(({ protocol }) => protocol === PortProtocol.TCP)
    .map(({ targetPort }) => targetPort);
  // Nobody is led to a container without a service; whoever knows it asks by its name.
  const named = (task.serviceId === '' ? [] : exposed).map((text) => /^(\d+)(?:\/tcp)?$/.exec(text)?.[1]);
  return { published: [...new Set(published)], exposed: named.filter((text) => text !== undefined).map(Number) };
}

/** Only host-mode ports are the node's own; the others are the mesh's. */
function hostPorts(ports: readonly PortConfig[]): readonly HostPort[] {
  return ports
    .filter((port) => port.publishMode === PublishMode.HOST)
    .map((port) => ({
      protocol: PROTOCOLS[port.protocol],
      publishedPort: port.publishedPort,
      targetPort: port.targetPort,
      hostIp: port.hostIp === '' ? undefined : port.hostIp,
    }));
}

const PROTOCOL_NUMBERS: Readonly<Record<NetworkProtocol, PortProtocol>> = {
  tcp: PortProtocol.TCP,
  udp: PortProtocol.UDP,
  sctp: PortProtocol.SCTP,
};

/** What the network has published, in the words of the task's status. */
export function portConfigs(ports: readonly HostPort[]): readonly PortConfig[] {
  return ports.map((port) =>
    PortConfig.create({
      protocol: PROTOCOL_NUMBERS[port.protocol],
      publishedPort: port.publishedPort,
      targetPort: port.targetPort,
      publishMode: PublishMode.HOST,
      hostIp: port.hostIp ?? '',
    }),
  );
}

/** The image's stop signal, where the service names none; an image that names nonsense gets SIGTERM. */
export function stopSignalOf(mapped: MappedTask, image: ImageDefaults): number {
  if (mapped.stopSignal !== undefined) return mapped.stopSignal;
  if (image.stopSignal === undefined) return SIGNALS.term;
  try {
    return parseSignal('stopSignal', image.stopSignal);
  } catch {
    return SIGNALS.term;
  }
}
