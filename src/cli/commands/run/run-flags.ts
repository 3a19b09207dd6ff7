/** Flags of `swarm run`, as `docker run` spells them. What one container of a swarm cannot have is refused by name. */
import { type NetworkAttachmentSpec, type PortConfig, PublishMode } from '#gen/swarm/v1/specs.ts';
import { FlagValueError } from '../../cli-errors.ts';
import { type AnyFlag, boolFlag, listFlag, type Refusal, refusedFlag, stringFlag, valueFlag } from '../../flags.ts';
import { capability, extraHost, ipAddress, searchDomain, ulimit } from '../../values/container-values.ts';
import { environmentEntry, label, option } from '../../values/key-values.ts';
import { mount } from '../../values/mounts.ts';
import { networkAttachment } from '../../values/network-attachments.ts';
import { anyPorts } from '../../values/ports.ts';
import { cpuNanos, integer, oneOf, sizeBytes, unsigned } from '../../values/scalars.ts';
import { tmpfsMount, volumeMount } from '../../values/volume-mounts.ts';
import { HEALTH_CREATE_FLAGS } from '../service/health-flags.ts';
import { ISOLATION_FLAGS } from '../service/isolation-flags.ts';
import { LOG_DRIVER, LOG_OPT, MEMORY_SWAP, READ_ONLY, STOP_SIGNAL } from '../service/service-flags.ts';
import { SHARE_RUN_FLAGS } from '../service/share-flags.ts';

export const ADD_HOST = listFlag({
  name: 'add-host',
  usage: 'Add a custom host-to-IP mapping (host:ip)',
  parse: extraHost,
});
export const CAP_ADD = listFlag({ name: 'cap-add', usage: 'Add Linux capabilities', parse: capability });
export const CAP_DROP = listFlag({ name: 'cap-drop', usage: 'Drop Linux capabilities', parse: capability });
export const CPUS = valueFlag({ name: 'cpus', type: 'decimal', usage: 'Number of CPUs', parse: cpuNanos });
export const DETACH = boolFlag({
  name: 'detach',
  short: 'd',
  usage: 'Run container in background and print container ID',
});
export const DNS = listFlag({ name: 'dns', usage: 'Set custom DNS servers', parse: ipAddress });
export const DNS_OPTION = listFlag({ name: 'dns-option', usage: 'Set DNS options' });
export const DNS_SEARCH = listFlag({ name: 'dns-search', usage: 'Set custom DNS search domains', parse: searchDomain });
export const ENTRYPOINT = stringFlag({ name: 'entrypoint', usage: 'Overwrite the default ENTRYPOINT of the image' });
export const ENV = listFlag({ name: 'env', short: 'e', usage: 'Set environment variables', parse: environmentEntry });
export const ENV_FILE = listFlag({
  name: 'env-file',
  usage: 'Read in a file of environment variables',
  completions: 'file',
});
export const GROUP_ADD = listFlag({ name: 'group-add', usage: 'Add additional groups to join' });
export const HOSTNAME = stringFlag({ name: 'hostname', short: 'h', usage: 'Container host name' });
export const INIT = boolFlag({
  name: 'init',
  usage: 'Run an init inside the container that forwards signals and reaps processes',
});
export const IP = stringFlag({ name: 'ip', usage: 'IPv4 address on the network (e.g., 172.30.100.104)' });
export const IP6 = stringFlag({ name: 'ip6', usage: 'IPv6 address on the network (e.g., 2001:db8::33)' });
export const LABEL = listFlag({ name: 'label', short: 'l', usage: 'Set meta data on a container', parse: label });
export const MEMORY = valueFlag({
  name: 'memory',
  short: 'm',
  type: 'bytes',
  usage: 'Memory limit',
  parse: sizeBytes,
});
export const MOUNT = listFlag({
  name: 'mount',
  type: 'mount',
  usage: 'Attach a filesystem mount to the container',
  parse: mount,
});
export const NAME = stringFlag({ name: 'name', usage: 'Assign a name to the container' });
export const NETWORK = listFlag<NetworkAttachmentSpec>({
  name: 'network',
  type: 'network',
  usage: 'Connect a container to an attachable network',
  completions: 'network',
  parse: networkAttachment,
});
export const NETWORK_ALIAS = listFlag({ name: 'network-alias', usage: 'Add a name for the container on its network' });
export const OOM_SCORE_ADJ = valueFlag({
  name: 'oom-score-adj',
  type: 'int',
  usage: "Tune host's OOM preferences (-1000 to 1000)",
  parse: integer,
});
export const PIDS_LIMIT = valueFlag({
  name: 'pids-limit',
  type: 'int',
  usage: 'Tune container pids limit (set -1 for unlimited)',
  parse: integer,
});
export const PUBLISH = listFlag<readonly PortConfig[]>({
  name: 'publish',
  short: 'p',
  usage: "Publish a container's port(s) to this node",
  parse: portsOfThisNode,
});
export const PULL = valueFlag({
  name: 'pull',
  type: 'string',
  usage: 'Pull image before running ("always", "missing", "never")',
  shownDefault: '"missing"',
  completions: ['always', 'missing', 'never'],
  parse: oneOf<PullPolicy>(
    { always: 'always', missing: 'missing', never: 'never' },
    (text) => `invalid pull option: '${text}': must be one of "always", "missing" or "never"`,
  ),
});
export const QUIET = boolFlag({ name: 'quiet', short: 'q', usage: 'Suppress the pull output' });
export const RESTART = valueFlag({
  name: 'restart',
  type: 'string',
  usage: 'Restart policy: only "no", nothing starts the container again',
  shownDefault: '"no"',
  completions: ['no'],
  parse: noRestart,
});
export const RM = boolFlag({ name: 'rm', usage: 'Remove the container when it ends' });
export const STOP_TIMEOUT = valueFlag({
  name: 'stop-timeout',
  type: 'int',
  usage: 'Timeout (in seconds) to stop a container',
  parse: unsigned,
});
export const SYSCTL = listFlag({ name: 'sysctl', usage: 'Sysctl options', parse: option });
export const TMPFS = listFlag({ name: 'tmpfs', usage: 'Mount a tmpfs directory', parse: tmpfsMount });
export const ULIMIT = listFlag({ name: 'ulimit', type: 'ulimit', usage: 'Ulimit options', parse: ulimit });
export const USER = stringFlag({
  name: 'user',
  short: 'u',
  usage: 'Username or UID (format: <name|uid>[:<group|gid>])',
});
export const VOLUME = listFlag({ name: 'volume', short: 'v', usage: 'Bind mount a volume', parse: volumeMount });
export const VOLUME_DRIVER = stringFlag({ name: 'volume-driver', usage: 'Optional volume driver for the container' });
export const WORKDIR = stringFlag({ name: 'workdir', short: 'w', usage: 'Working directory inside the container' });

export type PullPolicy = 'always' | 'missing' | 'never';

function portsOfThisNode(text: string): readonly PortConfig[] {
  return anyPorts(text).map((port) => {
    if (port.publishMode === PublishMode.INGRESS)
      throw new FlagValueError(
        'one container is published on its own node only',
        'leave mode=ingress out, or create a service: swarm service create --publish',
      );
    return { ...port, publishMode: PublishMode.HOST };
  });
}

function noRestart(text: string): 'no' {
  if (text === 'no' || text === '') return 'no';
  throw new FlagValueError(
    'nothing starts a single container again',
    'create a service, which is kept running: swarm service create',
  );
}

const INPUT: Refusal = {
  because: 'a container of the swarm has no standard input and no terminal',
  hint: 'give the command whole: swarm run --rm IMAGE sh -c "..."',
};
const NOT_WIDER: Refusal = {
  because: 'the node decides where its containers are kept',
  hint: 'leave it out',
};
const CPU_SHARE: Refusal = { because: 'processor time is limited as a whole', hint: 'use --cpus' };
const MEMORY_SHARE: Refusal = { because: 'memory is limited as a whole', hint: 'use --memory and --memory-swap' };
const GPU: Refusal = {
  because: 'GPUs are given out by the scheduler, to services',
  hint: 'name the device: --device /dev/nvidia0 or /dev/dri; or create a service with --generic-resource',
};
const OLD_LINK: Refusal = {
  because: 'containers find each other by name',
  hint: 'join the same network: --network NAME',
};
const NODE_ALONE: Refusal = { because: 'the networks of the node decide that', hint: 'leave it out' };
const FILE: Refusal = {
  because: 'it is not read or written',
  hint: 'use -e and -l; the id is on standard output of -d',
};
const WINDOWS: Refusal = { because: 'it is for Windows only', hint: 'leave it out' };
const MOUNTS: Refusal = { because: 'mounts are named one by one', hint: 'use --mount or --volume' };
const IMAGE: Refusal = { because: 'the image of this node’s platform is taken', hint: 'leave it out' };

function refused(refusal: Refusal, takesValue: boolean, ...names: readonly (string | readonly [string, string])[]) {
  return names.map((name) =>
    typeof name === 'string'
      ? refusedFlag(name, takesValue, refusal)
      : refusedFlag(name[0], takesValue, refusal, name[1]),
  );
}

const REFUSED: readonly AnyFlag[] = [
  ...refused(INPUT, false, ['interactive', 'i'], ['tty', 't']),
  ...refused(INPUT, true, ['attach', 'a'], 'detach-keys'),
  ...refused(GPU, true, 'gpus'),
  ...refused(NOT_WIDER, true, 'cgroup-parent', 'storage-opt', 'use-api-socket'),
  ...refused(CPU_SHARE, true, 'cpu-period', 'cpu-quota', 'cpu-rt-period', 'cpu-rt-runtime'),
  ...refused(MEMORY_SHARE, true, 'kernel-memory'),
  ...refused(OLD_LINK, true, 'link'),
  ...refused(NODE_ALONE, true, 'link-local-ip', 'mac-address', 'expose'),
  ...refused(NODE_ALONE, false, ['publish-all', 'P']),
  ...refused(FILE, true, 'cidfile', 'label-file'),
  ...refused(WINDOWS, true, 'isolation', 'io-maxbandwidth', 'io-maxiops', 'cpu-count', 'cpu-percent'),
  ...refused(MOUNTS, true, 'volumes-from'),
  ...refused(IMAGE, true, 'platform'),
];

export const RUN_FLAGS: readonly AnyFlag[] = [
  ADD_HOST,
  CAP_ADD,
  CAP_DROP,
  CPUS,
  DETACH,
  DNS,
  DNS_OPTION,
  DNS_SEARCH,
  ENTRYPOINT,
  ENV,
  ENV_FILE,
  GROUP_ADD,
  HOSTNAME,
  INIT,
  IP,
  IP6,
  LABEL,
  LOG_DRIVER,
  LOG_OPT,
  MEMORY,
  MEMORY_SWAP,
  MOUNT,
  NAME,
  NETWORK,
  NETWORK_ALIAS,
  OOM_SCORE_ADJ,
  PIDS_LIMIT,
  PUBLISH,
  PULL,
  QUIET,
  READ_ONLY,
  RESTART,
  RM,
  STOP_SIGNAL,
  STOP_TIMEOUT,
  SYSCTL,
  TMPFS,
  ULIMIT,
  USER,
  VOLUME,
  VOLUME_DRIVER,
  WORKDIR,
  ...HEALTH_CREATE_FLAGS,
  ...ISOLATION_FLAGS,
  ...SHARE_RUN_FLAGS,
  ...REFUSED,
];
