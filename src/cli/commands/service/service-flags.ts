/** Flags that `service create` and `service update` have in common. Only create's help shows defaults, as Docker's. */
import { EndpointMode, PlacementStrategy, RestartCondition } from '#gen/swarm/v1/specs.ts';
import { type AnyFlag, boolFlag, type Flag, type FlagValues, listFlag, stringFlag, valueFlag } from '../../flags.ts';
import { capability } from '../../values/container-values.ts';
import { option } from '../../values/key-values.ts';
import { cpuNanos, durationMs, integer, oneOf, sizeBytes, unsigned } from '../../values/scalars.ts';
import { shellWords } from '../../values/shell-words.ts';
import { ROLLOUT_DEFAULTS, ROLLOUT_FLAGS } from './rollout-flags.ts';

const LONG_UNITS = '(ns|us|ms|s|m|h)';

function duration(name: string, usage: string): Flag<number> {
  return valueFlag({ name, type: 'duration', usage: `${usage} ${LONG_UNITS}`, parse: durationMs });
}

export const DETACH = boolFlag({
  name: 'detach',
  short: 'd',
  usage: 'Exit immediately instead of waiting for the service to converge',
});
export const QUIET = boolFlag({ name: 'quiet', short: 'q', usage: 'Suppress progress output' });
export const NO_RESOLVE_IMAGE = boolFlag({
  name: 'no-resolve-image',
  usage: 'Do not query the registry to resolve image digest and supported platforms',
});
export const WITH_REGISTRY_AUTH = boolFlag({
  name: 'with-registry-auth',
  usage: 'Send registry authentication details to swarm agents',
});

export const CAP_ADD = listFlag({ name: 'cap-add', usage: 'Add Linux capabilities', parse: capability });
export const CAP_DROP = listFlag({ name: 'cap-drop', usage: 'Drop Linux capabilities', parse: capability });
export const ENTRYPOINT = valueFlag({
  name: 'entrypoint',
  type: 'command',
  usage: 'Overwrite the default ENTRYPOINT of the image',
  parse: shellWords,
});
export const HOSTNAME = stringFlag({ name: 'hostname', usage: 'Container hostname' });
export const INIT = boolFlag({
  name: 'init',
  usage: 'Use an init inside each service container to forward signals and reap processes',
});
export const OOM_SCORE_ADJ = valueFlag({
  name: 'oom-score-adj',
  type: 'int',
  usage: "Tune host's OOM preferences (-1000 to 1000) ",
  parse: integer,
});
export const READ_ONLY = boolFlag({ name: 'read-only', usage: "Mount the container's root filesystem as read only" });
export const STOP_GRACE_PERIOD = duration('stop-grace-period', 'Time to wait before force killing a container');
export const STOP_SIGNAL = stringFlag({ name: 'stop-signal', usage: 'Signal to stop the container' });
export const TTY = boolFlag({ name: 'tty', short: 't', usage: 'Allocate a pseudo-TTY' });
export const USER = stringFlag({
  name: 'user',
  short: 'u',
  usage: 'Username or UID (format: <name|uid>[:<group|gid>])',
});
export const WORKDIR = stringFlag({ name: 'workdir', short: 'w', usage: 'Working directory inside the container' });

export const ENDPOINT_MODE = valueFlag({
  name: 'endpoint-mode',
  type: 'string',
  usage: 'Endpoint mode (vip or dnsrr)',
  completions: ['vip', 'dnsrr'],
  parse: oneOf(
    { vip: EndpointMode.VIP, dnsrr: EndpointMode.DNSRR },
    (text) => `invalid endpoint mode: ${JSON.stringify(text)}`,
  ),
});
/** Not Docker's: it stops a task with whatever connections it has. */
export const DRAIN = duration('drain', 'Time that a task taken out of load balancing has for its connections');

/** Not Docker's: its tasks on a node that was cut off run on beside their replacements. 0: they go on. */
export const STOP_AFTER_DISCONNECT = valueFlag({
  name: 'stop-after-disconnect',
  type: 'duration',
  usage: `A node without managers for this long stops the task, which is replaced only then ("none": it goes on) ${LONG_UNITS}`,
  completions: ['30s', '1m', 'none'],
  parse: (text) => (text === 'none' ? 0 : durationMs(text)),
});

/** As the spec has it. */
export function stopAfterDisconnectOf(flags: FlagValues, before: number | undefined): number | undefined {
  const limitMs = flags.value(STOP_AFTER_DISCONNECT) ?? before;
  return limitMs === 0 ? undefined : limitMs;
}

export const LIMIT_CPU = valueFlag({ name: 'limit-cpu', type: 'decimal', usage: 'Limit CPUs', parse: cpuNanos });
export const LIMIT_MEMORY = valueFlag({ name: 'limit-memory', type: 'bytes', usage: 'Limit Memory', parse: sizeBytes });
export const LIMIT_PIDS = valueFlag({
  name: 'limit-pids',
  type: 'int',
  usage: 'Limit maximum number of processes (default 0 = unlimited)',
  parse: integer,
});
export const MEMORY_SWAP = valueFlag({
  name: 'memory-swap',
  type: 'bytes',
  usage: 'Swap limit equal to memory plus swap: -1 to enable unlimited swap',
  parse: (text) => (text === '-1' ? -1 : sizeBytes(text)),
});
export const RESERVE_CPU = valueFlag({ name: 'reserve-cpu', type: 'decimal', usage: 'Reserve CPUs', parse: cpuNanos });
export const RESERVE_MEMORY = valueFlag({
  name: 'reserve-memory',
  type: 'bytes',
  usage: 'Reserve Memory',
  parse: sizeBytes,
});

export const LOG_DRIVER = stringFlag({
  name: 'log-driver',
  usage: 'Logging driver for service',
  completions: ['json-file', 'none'],
});
export const LOG_OPT = listFlag({ name: 'log-opt', usage: 'Logging driver options', parse: option });

export const REPLICAS = valueFlag({ name: 'replicas', type: 'uint', usage: 'Number of tasks', parse: unsigned });
export const REPLICAS_MAX_PER_NODE = valueFlag({
  name: 'replicas-max-per-node',
  type: 'uint',
  usage: 'Maximum number of tasks per node (default 0 = unlimited)',
  parse: unsigned,
});
export const PLACEMENT_STRATEGY = valueFlag({
  name: 'placement-strategy',
  type: 'string',
  usage: 'Which of the fitting nodes to take ("spread", "binpack")',
  completions: ['spread', 'binpack'],
  parse: oneOf(
    { spread: PlacementStrategy.SPREAD, binpack: PlacementStrategy.BINPACK },
    (text) => `unknown placement strategy ${JSON.stringify(text)}`,
  ),
});

export const RESTART_CONDITION = valueFlag({
  name: 'restart-condition',
  type: 'string',
  usage: 'Restart when condition is met ("none", "on-failure", "any")',
  completions: ['none', 'on-failure', 'any'],
  parse: oneOf(
    { none: RestartCondition.NONE, 'on-failure': RestartCondition.ON_FAILURE, any: RestartCondition.ANY },
    (text) => `invalid restart condition: ${JSON.stringify(text)}`,
  ),
});
export const RESTART_DELAY = duration('restart-delay', 'Delay between restart attempts');
export const RESTART_MAX_ATTEMPTS = valueFlag({
  name: 'restart-max-attempts',
  type: 'uint',
  usage: 'Maximum number of restarts before giving up',
  parse: unsigned,
});
export const RESTART_WINDOW = duration('restart-window', 'Window used to evaluate the restart policy');

export const COMMON_FLAGS: readonly AnyFlag[] = [
  DETACH,
  QUIET,
  NO_RESOLVE_IMAGE,
  WITH_REGISTRY_AUTH,
  CAP_ADD,
  CAP_DROP,
  ENTRYPOINT,
  HOSTNAME,
  INIT,
  OOM_SCORE_ADJ,
  READ_ONLY,
  STOP_GRACE_PERIOD,
  STOP_SIGNAL,
  TTY,
  USER,
  WORKDIR,
  ENDPOINT_MODE,
  DRAIN,
  STOP_AFTER_DISCONNECT,
  LIMIT_CPU,
  LIMIT_MEMORY,
  LIMIT_PIDS,
  MEMORY_SWAP,
  RESERVE_CPU,
  RESERVE_MEMORY,
  LOG_DRIVER,
  LOG_OPT,
  REPLICAS,
  REPLICAS_MAX_PER_NODE,
  PLACEMENT_STRATEGY,
  RESTART_CONDITION,
  RESTART_DELAY,
  RESTART_MAX_ATTEMPTS,
  RESTART_WINDOW,
  ...ROLLOUT_FLAGS,
];

/** What create's help says of flags that are left out. */
const SHOWN_DEFAULTS: Readonly<Record<string, string>> = {
  'endpoint-mode': '"vip"',
  'placement-strategy': '"spread"',
  'restart-condition': '"any"',
  'restart-delay': '5s',
  'stop-grace-period': '10s',
  ...ROLLOUT_DEFAULTS,
};

/** The same flags with their defaults in the help. */
export function withShownDefaults(flags: readonly AnyFlag[]): readonly AnyFlag[] {
  return flags.map((flag) => {
    const shownDefault = Object.hasOwn(SHOWN_DEFAULTS, flag.name) ? SHOWN_DEFAULTS[flag.name] : undefined;
    return shownDefault === undefined ? flag : { ...flag, shownDefault };
  });
}
