/** Names, addresses and paths of a lab. Everything on the machine is found again from the lab's name alone. */
import { isIPv4 } from 'node:net';
import { invalidField } from '#common/errors.ts';
import { LAB_CONFIG } from './config.ts';

export type LabRole = 'manager' | 'worker';

export interface LabHostName {
  /** m1, m2, ... and w1, w2, ... */
  readonly name: string;
  readonly role: LabRole;
  /** On the fabric; all hosts of a lab are in 172.31.0.0/16. It can be given another one. */
  readonly address: string;
}

/** Stands for the fabric itself where a host is expected: a machine that is no node, 172.31.255.254. */
export const FABRIC = 'fabric';
export const FABRIC_ADDRESS = '172.31.255.254';
export const FABRIC_PREFIX_LENGTH = 16;

/** Throws `bad-field`. No dash: it separates the lab from the host in names of cgroups. */
export function checkLabName(name: string): void {
  if (!/^[a-z0-9]{1,16}$/.test(name))
    throw invalidField('--name', `--name: ${JSON.stringify(name)} is not 1 to 16 small letters and digits`);
}

/** Throws `bad-field`. */
export function checkAddress(address: string): void {
  const isHost = isIPv4(address) && address.startsWith('172.31.') && address !== FABRIC_ADDRESS;
  if (!isHost || address.endsWith('.0.0') || address.endsWith('.255.255'))
    throw invalidField('ADDRESS', `${JSON.stringify(address)} is not the address of a host in 172.31.0.0/16`);
}

/** The hosts of a lab of this size. Throws `bad-field`. */
export function hostNames(managers: number, workers: number): readonly LabHostName[] {
  for (const [flag, count, least] of [
    ['--managers', managers, 1],
    ['--workers', workers, 0],
  ] as const)
    if (!Number.isInteger(count) || count < least || count > LAB_CONFIG.hostsMax)
      throw invalidField(flag, `${flag}: ${count} is not ${least} to ${LAB_CONFIG.hostsMax}`);
  const hosts: LabHostName[] = [];
  for (let number = 1; number <= managers; number++)
    hosts.push({ name: `m${number}`, role: 'manager', address: `172.31.0.${number}` });
  for (let number = 1; number <= workers; number++)
    hosts.push({ name: `w${number}`, role: 'worker', address: `172.31.1.${number}` });
  return hosts;
}

export interface LabPaths {
  readonly run: string;
  /** The lab's description. */
  readonly description: string;
  /** Network namespaces, on a shared mount: unmounting one unmounts every copy. */
  readonly networks: string;
  /** Mount and UTS namespaces, on a private mount: the kernel pins mount namespaces nowhere else. */
  readonly pins: string;
  readonly state: string;
}

export function labPaths(lab: string): LabPaths {
  checkLabName(lab);
  const run = `${LAB_CONFIG.runRoot}/${lab}`;
  return {
    run,
    description: `${run}/lab.json`,
    networks: `${run}/net`,
    pins: `${run}/pins`,
    state: `${LAB_CONFIG.stateRoot}/${lab}`,
  };
}

export interface HostPaths {
  readonly network: string;
  readonly mounts: string;
  readonly uts: string;
  /** Lost when the host loses power. */
  readonly volatile: string;
  readonly runDirectory: string;
  readonly socket: string;
  /** Process id and start time of the daemon. */
  readonly daemon: string;
  /** Stays when the host loses power. */
  readonly stateDirectory: string;
  readonly log: string;
  /** What the disk of its own is kept in, if it has one. */
  readonly disk: string;
  /** How far its clock is ahead, if it has one of its own. */
  readonly clock: string;
  /** All processes of the host are below this path of their cgroup hierarchy. */
  readonly cgroup: string;
  /** The daemon's --cgroup-parent: a place of its own, so that its sweeps do not meet the daemon itself. */
  readonly cgroupParent: string;
}

export function hostPaths(lab: string, host: string): HostPaths {
  const paths = labPaths(lab);
  const volatile = `${paths.run}/${host}`;
  return {
    network: `${paths.networks}/${host}`,
    mounts: `${paths.pins}/${host}.mnt`,
    uts: `${paths.pins}/${host}.uts`,
    volatile,
    runDirectory: `${volatile}/run`,
    socket: `${volatile}/run/swarm.sock`,
    daemon: `${volatile}/daemon`,
    stateDirectory: `${paths.state}/${host}/state`,
    log: `${paths.state}/${host}/daemon.log`,
    disk: `${paths.state}/${host}/disk`,
    clock: `${paths.state}/${host}/clock`,
    cgroup: `${cgroupPrefix(lab)}${host}`,
    cgroupParent: `${cgroupPrefix(lab)}${host}/containers`,
  };
}

/** What the cgroups of a lab's hosts begin with. */
export function cgroupPrefix(lab: string): string {
  return `/starling-lab-${lab}-`;
}
