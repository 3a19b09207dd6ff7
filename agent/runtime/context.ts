/** What the procedures of the runtime have in common. */
import type { Clock } from '#common/clock.ts';
import type { Logger } from '#common/log.ts';
import type { Cgroups } from './cgroups/cgroups.ts';
import type { RuntimeConfig } from './config.ts';
import type { Conmon } from './conmon/probe-conmon.ts';
import type { OciRuntime } from './oci-runtime.ts';
import type { RuntimePaths } from './paths.ts';
import type { LayerLinks } from './rootfs/layer-links.ts';
import type { SeccompProfiles } from './seccomp-profiles.ts';
import type { MachineFacts } from './spec/machine-facts.ts';

export interface RuntimeContext {
  readonly paths: RuntimePaths;
  readonly config: RuntimeConfig;
  readonly clock: Clock;
  readonly log: Logger;
  readonly bootId: string;
  readonly cgroups: Cgroups;
  readonly cgroupParent: string;
  /** Begins the name of every cgroup of this agent, so that two agents with one parent leave each other alone. */
  readonly cgroupTag: string;
  readonly runtime: OciRuntime;
  readonly conmon: Conmon;
  readonly machine: MachineFacts;
  readonly seccomp: SeccompProfiles;
  readonly initBinary: string | undefined;
  readonly layerLinks: LayerLinks;
}

export function cgroupPathOf(context: RuntimeContext, id: string): string {
  return `${context.cgroupParent}/${context.cgroupTag}-${id}`;
}
