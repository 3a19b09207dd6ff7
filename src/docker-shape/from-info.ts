/** What a daemon says about itself, in the shape of Docker's system information. */

import type { StructData } from '#common/template/go-types.ts';
import { type GetInfoResponse, LocalNodeState } from '#gen/swarm/v1/node.ts';
import { NodeRole } from '#gen/swarm/v1/specs.ts';
import { clusterShape } from './from-objects.ts';

export const LOCAL_NODE_STATES: Readonly<Record<LocalNodeState, string>> = {
  [LocalNodeState.UNSPECIFIED]: 'inactive',
  [LocalNodeState.INACTIVE]: 'inactive',
  [LocalNodeState.PENDING]: 'pending',
  [LocalNodeState.ACTIVE]: 'active',
  [LocalNodeState.ERROR]: 'error',
  [LocalNodeState.LOCKED]: 'locked',
};

/** What a node has built in, in the order of Docker's list. */
export const VOLUME_DRIVERS = ['local'] as const;
export const NETWORK_DRIVERS = ['bridge', 'host', 'ipvlan', 'macvlan', 'null', 'overlay'] as const;
export const LOG_DRIVERS = ['json-file', 'none'] as const;

export function swarmInfoShape(info: GetInfoResponse): StructData {
  const isManager = info.role === NodeRole.MANAGER && info.state === LocalNodeState.ACTIVE;
  return {
    NodeID: info.nodeId,
    NodeAddr: withoutPort(info.advertiseAddress),
    LocalNodeState: LOCAL_NODE_STATES[info.state],
    ControlAvailable: isManager,
    Error: info.error,
    RemoteManagers: info.managers.map((peer) => ({ NodeID: peer.nodeId, Addr: peer.address })),
    Nodes: info.nodeCount,
    Managers: info.managerCount,
    Cluster: isManager && info.cluster !== undefined ? clusterShape(info.cluster) : undefined,
    Warnings: info.warnings,
  };
}

export function systemInfoShape(info: GetInfoResponse): StructData {
  const { description } = info;
  const engine = description?.engine;
  const runtimes = Object.keys(engine?.runtimes ?? {}).toSorted();
  return {
    ID: info.nodeId,
    Containers: info.containersTotal,
    ContainersRunning: info.containersRunning,
    ContainersPaused: 0,
    ContainersStopped: info.containersTotal - info.containersRunning,
    Images: info.images,
    Plugins: { Volume: VOLUME_DRIVERS, Network: NETWORK_DRIVERS, Log: LOG_DRIVERS },
    NCPU: Math.round((description?.resources?.cpuNanos ?? 0) / 1e9),
    MemTotal: description?.resources?.memoryBytes,
    Name: description?.hostname,
    Labels: Object.entries(engine?.labels ?? {}).map(([key, value]) => `${key}=${value}`),
    DockerRootDir: info.stateDirectory,
    KernelVersion: engine?.kernelVersion,
    OperatingSystem: engine?.operatingSystem,
    OSType: description?.platform?.os,
    Architecture: description?.platform?.architecture,
    CgroupVersion: engine?.cgroupVersion,
    LoggingDriver: 'json-file',
    ServerVersion: info.version,
    LiveRestoreEnabled: true,
    Runtimes: Object.fromEntries(runtimes.map((name) => [name, { Path: name }])),
    DefaultRuntime: runtimes[0],
    Swarm: swarmInfoShape(info),
    Warnings: info.warnings,
  };
}

/** `10.0.0.1` of `10.0.0.1:2377`, `fd00::1` of `[fd00::1]:2377`; an address without a port as it is. */
export function withoutPort(address: string): string {
  const bracketed = /^\[(.*)\](?::\d+)?$/.exec(address)?.[1];
  if (bracketed !== undefined) return bracketed;
  return address.split(':').length === 2 ? address.replace(/:\d+$/, '') : address;
}
