/** All checks, in the order of their lines: what breaks everything first. Each says for which purposes it counts. */
import type { Check } from './check.ts';
import { addressPools } from './checks/address-pools.ts';
import { cgroups } from './checks/cgroups.ts';
import { clock } from './checks/clock.ts';
import { dockerEngine } from './checks/docker-engine.ts';
import { forwardPolicy, inputPolicy, ipForward } from './checks/firewall.ts';
import {
  kernelVersion,
  namespaces,
  nftables,
  overlayFileSystem,
  privileges,
  seccomp,
  vethDevices,
  vxlanDevices,
} from './checks/kernel.ts';
import { conntrack, inotify, openFiles } from './checks/limits.ts';
import { clusterPort, dataPathPort, managerPort } from './checks/ports.ts';
import { buildah, conmon, helpers, ociRuntime } from './checks/programs.ts';
import { disk, identity } from './checks/state-directory.ts';

export const CHECKS: readonly Check[] = [
  privileges,
  kernelVersion,
  namespaces,
  cgroups,
  overlayFileSystem,
  seccomp,
  vethDevices,
  vxlanDevices,
  nftables,
  ociRuntime,
  conmon,
  buildah,
  helpers,
  identity,
  disk,
  clock,
  clusterPort,
  dataPathPort,
  managerPort,
  addressPools,
  ipForward,
  forwardPolicy,
  inputPolicy,
  conntrack,
  openFiles,
  inotify,
  dockerEngine,
];
