/** What this process may hand on to containers. The facts are read once; everything decided from them is pure. */
import type { CgroupSupport } from '../cgroups/cgroups.ts';
import { type CapabilityChoice, capabilitiesOfMask, chooseCapabilities } from './capabilities.ts';
import type { ContainerSpec } from './container-spec.ts';
import type { SeccompArchitecture } from './seccomp.ts';
import { parseHardLimits } from './ulimits.ts';

export interface MachineFacts {
  /** Our bounding set, with CAP_: a runtime that is asked for more fails. */
  readonly capabilities: readonly string[];
  /** Our hard limits where we may not exceed them; empty with CAP_SYS_RESOURCE. */
  readonly hardLimits: ReadonlyMap<string, number>;
  readonly lowestOomScoreAdjust: number;
  readonly cgroups: CgroupSupport;
  readonly appArmor: boolean;
  readonly seLinux: boolean;
  readonly kernelRelease: string;
  readonly architecture: SeccompArchitecture;
}

/** From the texts of /proc/self/{status,limits,oom_score_adj}. */
export function readMachineFacts(texts: {
  readonly status: string;
  readonly limits: string;
  readonly oomScoreAdjust: string;
  readonly cgroups: CgroupSupport;
  readonly appArmor: boolean;
  readonly seLinux: boolean;
  readonly kernelRelease: string;
  readonly architecture: SeccompArchitecture;
}): MachineFacts {
  const mask = (name: string): readonly string[] =>
    capabilitiesOfMask(new RegExp(`^${name}:\\s*([0-9a-f]+)$`, 'm').exec(texts.status)?.[1] ?? '0');
  const mayExceed = mask('CapEff').includes('CAP_SYS_RESOURCE');
  return {
    capabilities: mask('CapBnd'),
    hardLimits: mayExceed ? new Map() : parseHardLimits(texts.limits),
    lowestOomScoreAdjust: mayExceed ? -1000 : Number(texts.oomScoreAdjust.trim()),
    cgroups: texts.cgroups,
    appArmor: texts.appArmor,
    seLinux: texts.seLinux,
    kernelRelease: texts.kernelRelease,
    architecture: texts.architecture,
  };
}

export function capabilitiesFor(spec: ContainerSpec, machine: MachineFacts): CapabilityChoice {
  // What the machine itself has not is missed by nobody.
  if (spec.privileged) return { granted: machine.capabilities, withheld: [] };
  return chooseCapabilities(spec.capabilityAdd, spec.capabilityDrop, machine.capabilities);
}
