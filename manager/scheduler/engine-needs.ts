/** What a task asks of a node's engine: a runtime by name, or what only some kernels can do. */
import type { EngineDescription } from '#gen/swarm/v1/objects.ts';
import type { BlockIo, TaskSpec } from '#gen/swarm/v1/specs.ts';

export interface EngineNeed {
  /** Completes "no ... on 2 nodes". */
  readonly what: string;
  readonly fits: (engine: EngineDescription) => boolean;
}

interface CapabilityNeed {
  /** As nodes name it in `EngineDescription.capabilities`. */
  readonly capability: string;
  readonly what: string;
  readonly uses: (task: TaskSpec) => boolean;
}

const CAPABILITY_NEEDS: readonly CapabilityNeed[] = [
  { capability: 'apparmor', what: 'AppArmor', uses: needsAppArmor },
  { capability: 'selinux', what: 'SELinux', uses: needsSeLinux },
  {
    capability: 'memory-swappiness',
    what: 'memory swappiness (cgroup v1)',
    uses: ({ resources }) => resources?.memorySwappiness !== undefined,
  },
  {
    capability: 'oom-kill-disable',
    what: 'disabling of the OOM killer (cgroup v1)',
    uses: ({ container }) => container?.oomKillDisable === true,
  },
  { capability: 'block-io-weight', what: 'weights of disks', uses: ({ resources }) => hasWeights(resources?.blockIo) },
  { capability: 'block-io-rate', what: 'limits of disks', uses: ({ resources }) => hasRates(resources?.blockIo) },
];

/** To be unconfined is what there is where nothing is confined. */
function needsAppArmor({ container }: TaskSpec): boolean {
  const name = container?.security?.apparmor ?? '';
  return name !== '' && name !== 'unconfined' && container?.privileged !== true;
}

function needsSeLinux({ container }: TaskSpec): boolean {
  const labels = container?.security?.selinuxLabels ?? {};
  return Object.keys(labels).length > 0 && labels['disable'] === undefined && container?.privileged !== true;
}

function hasWeights(blockIo: BlockIo | undefined): boolean {
  return blockIo !== undefined && (blockIo.weight > 0 || blockIo.deviceWeights.length > 0);
}

function hasRates(blockIo: BlockIo | undefined): boolean {
  if (blockIo === undefined) return false;
  const { readBytes, writeBytes, readOperations, writeOperations } = blockIo;
  return [readBytes, writeBytes, readOperations, writeOperations].some((list) => list.length > 0);
}

export function engineNeeds(task: TaskSpec): readonly EngineNeed[] {
  const needs: EngineNeed[] = CAPABILITY_NEEDS.filter(({ uses }) => uses(task)).map(({ capability, what }) => ({
    what,
    fits: ({ capabilities }) => capabilities.includes(capability),
  }));
  const runtime = task.container?.runtime ?? '';
  if (runtime !== '')
    needs.push({ what: `OCI runtime ${runtime}`, fits: ({ runtimes }) => Object.hasOwn(runtimes, runtime) });
  return needs;
}
