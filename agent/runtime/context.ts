/** What the procedures of the runtime have in common. */
import type { Clock } from '#common/clock.ts';
import { SwarmError } from '#common/errors.ts';
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
  /** The usual one. */
  readonly runtime: OciRuntime;
  /** All that services may name, the usual one too. */
  readonly runtimes: ReadonlyMap<string, OciRuntime>;
  readonly conmon: Conmon;
  readonly machine: MachineFacts;
  readonly seccomp: SeccompProfiles;
  readonly initBinary: string | undefined;
  readonly layerLinks: LayerLinks;
}

export function cgroupPathOf(context: RuntimeContext, id: string): string {
  return `${context.cgroupParent}/${context.cgroupTag}-${id}`;
}

/** Throws `not-supported` for a name that this node has no runtime of; undefined means the usual one. */
export function runtimeNamed(context: RuntimeContext, name: string | undefined): OciRuntime {
  if (name === undefined) return context.runtime;
  const found = context.runtimes.get(name);
  if (found !== undefined) return found;
  throw new SwarmError({
    code: 'precondition',
    reason: 'not-supported',
    field: 'runtime',
    message: `runtime: this node has no OCI runtime ${JSON.stringify(name)}, only ${[...context.runtimes.keys()].join(', ')}`,
    hint: 'install it on the node, or name it there: swarmd --add-runtime NAME=PATH',
  });
}

/** The runtime that made a container, also one that is named no more. */
export function runtimeAt(context: RuntimeContext, path: string): OciRuntime {
  const found = [...context.runtimes.values()].find((runtime) => runtime.path === path);
  return found ?? { name: path, path, version: 'unknown', startProtocol: 'command', warnings: [] };
}
