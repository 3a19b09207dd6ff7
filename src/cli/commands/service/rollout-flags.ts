/** Flags for how a service is updated and rolled back, of `service create` and `service update`. */
import { FailureAction, UpdateConfig, UpdateOrder } from '#gen/swarm/v1/specs.ts';
import { type AnyFlag, boolFlag, type Flag, type FlagValues, valueFlag } from '../../flags.ts';
import { durationMs, fraction, oneOf, unsigned } from '../../values/scalars.ts';

/** The flags that updates and rollbacks have in common. */
interface RolloutFlags {
  readonly parallelism: Flag<number>;
  readonly delay: Flag<number>;
  readonly monitor: Flag<number>;
  readonly failureAction: Flag<FailureAction>;
  readonly maxFailureRatio: Flag<number>;
  readonly order: Flag<UpdateOrder>;
  readonly progressDeadline: Flag<number>;
}

const FAILURE_ACTIONS = {
  pause: FailureAction.PAUSE,
  continue: FailureAction.CONTINUE,
  rollback: FailureAction.ROLLBACK,
};

/** `auto` is not Docker's. */
const ORDERS = {
  'start-first': UpdateOrder.START_FIRST,
  'stop-first': UpdateOrder.STOP_FIRST,
  auto: UpdateOrder.AUTO,
};

function quotedList(words: readonly string[]): string {
  return words.map((word) => JSON.stringify(word)).join(', ');
}

function duration(name: string, usage: string): Flag<number> {
  return valueFlag({ name, type: 'duration', usage: `${usage} (ns|us|ms|s|m|h)`, parse: durationMs });
}

function rolloutFlags(
  prefix: string,
  words: { readonly parallelism: string; readonly delay: string; readonly monitor: string; readonly ratio: string },
  actions: Readonly<Record<string, FailureAction>>,
): RolloutFlags {
  const title = prefix.charAt(0).toUpperCase() + prefix.slice(1);
  return {
    parallelism: valueFlag({
      name: `${prefix}-parallelism`,
      type: 'uint',
      usage: words.parallelism,
      parse: unsigned,
    }),
    delay: duration(`${prefix}-delay`, words.delay),
    monitor: duration(`${prefix}-monitor`, words.monitor),
    failureAction: valueFlag({
      name: `${prefix}-failure-action`,
      type: 'string',
      usage: `Action on ${prefix} failure (${quotedList(Object.keys(actions))})`,
      completions: Object.keys(actions),
      parse: oneOf(actions, (text) => `invalid failure action: ${JSON.stringify(text)}`),
    }),
    maxFailureRatio: valueFlag({
      name: `${prefix}-max-failure-ratio`,
      type: 'float',
      usage: words.ratio,
      parse: fraction,
    }),
    order: valueFlag({
      name: `${prefix}-order`,
      type: 'string',
      usage: `${title} order (${quotedList(Object.keys(ORDERS))})`,
      completions: Object.keys(ORDERS),
      parse: oneOf(ORDERS, (text) => `invalid order: ${JSON.stringify(text)}`),
    }),
    progressDeadline: duration(
      `${prefix}-progress-deadline`,
      `Time without a task that becomes healthy after which the ${prefix} has failed (0 for none)`,
    ),
  };
}

const UPDATE: RolloutFlags = rolloutFlags(
  'update',
  {
    parallelism: 'Maximum number of tasks updated simultaneously (0 to update all at once)',
    delay: 'Delay between updates',
    monitor: 'Duration after each task update to monitor for failure',
    ratio: 'Failure rate to tolerate during an update',
  },
  FAILURE_ACTIONS,
);

const ROLLBACK: RolloutFlags = rolloutFlags(
  'rollback',
  {
    parallelism: 'Maximum number of tasks rolled back simultaneously (0 to roll back all at once)',
    delay: 'Delay between task rollbacks',
    monitor: 'Duration after each task rollback to monitor for failure',
    ratio: 'Failure rate to tolerate during a rollback',
  },
  { pause: FailureAction.PAUSE, continue: FailureAction.CONTINUE },
);

const UPDATE_CANARIES = valueFlag({
  name: 'update-canaries',
  type: 'uint',
  usage: 'Tasks that are updated first; the rest waits until they are promoted',
  parse: unsigned,
});

const UPDATE_AUTO_PROMOTE = boolFlag({
  name: 'update-auto-promote',
  usage: 'Promote canaries once they were monitored without failure',
});

export const ROLLOUT_FLAGS: readonly AnyFlag[] = [
  ...Object.values(UPDATE),
  UPDATE_CANARIES,
  UPDATE_AUTO_PROMOTE,
  ...Object.values(ROLLBACK),
];

/** What create's help says of those that are left out. */
export const ROLLOUT_DEFAULTS: Readonly<Record<string, string>> = {
  'update-parallelism': '1',
  'update-delay': '0s',
  'update-monitor': '5s',
  'update-failure-action': '"pause"',
  'update-max-failure-ratio': '0',
  'update-order': '"stop-first"',
  'update-progress-deadline': '10m0s',
  'update-canaries': '0',
  'rollback-parallelism': '1',
  'rollback-delay': '0s',
  'rollback-monitor': '5s',
  'rollback-failure-action': '"pause"',
  'rollback-max-failure-ratio': '0',
  'rollback-order': '"stop-first"',
  'rollback-progress-deadline': '10m0s',
};

/** How updates go, changed where flags say so; undefined when there was nothing and nothing is asked. */
export function updateConfigOf(flags: FlagValues, before: UpdateConfig | undefined): UpdateConfig | undefined {
  const changed = changedConfig(flags, UPDATE, before);
  if (!flags.anyGiven(UPDATE_CANARIES, UPDATE_AUTO_PROMOTE)) return changed;
  const config = changed ?? UpdateConfig.create();
  const canaries = flags.value(UPDATE_CANARIES) ?? config.canaries;
  // Without canaries there is nothing left that could be promoted.
  const keeps = canaries > 0 && config.autoPromote;
  return { ...config, canaries, autoPromote: flags.value(UPDATE_AUTO_PROMOTE) ?? keeps };
}

/** The same for rollbacks. */
export function rollbackConfigOf(flags: FlagValues, before: UpdateConfig | undefined): UpdateConfig | undefined {
  return changedConfig(flags, ROLLBACK, before);
}

function changedConfig(
  flags: FlagValues,
  names: RolloutFlags,
  before: UpdateConfig | undefined,
): UpdateConfig | undefined {
  if (!flags.anyGiven(...Object.values(names))) return before;
  const config = before ?? UpdateConfig.create();
  return {
    ...config,
    parallelism: flags.value(names.parallelism) ?? config.parallelism,
    delayMs: flags.value(names.delay) ?? config.delayMs,
    monitorMs: flags.value(names.monitor) ?? config.monitorMs,
    failureAction: flags.value(names.failureAction) ?? config.failureAction,
    maxFailureRatio: flags.value(names.maxFailureRatio) ?? config.maxFailureRatio,
    order: flags.value(names.order) ?? config.order,
    progressDeadlineMs: flags.value(names.progressDeadline) ?? config.progressDeadlineMs,
  };
}
