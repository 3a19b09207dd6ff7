/** Flags of `node update` about drains. Docker has none of them: its nodes are emptied at once. */
import { DrainSpec, NodeAvailability, type NodeSpec } from '#gen/swarm/v1/specs.ts';
import { CliError } from '../../cli-errors.ts';
import { boolFlag, type FlagValues, valueFlag } from '../../flags.ts';
import { positiveMs, unsigned32 } from '../../values/scalars.ts';

export const PARALLEL = valueFlag({
  name: 'parallel',
  type: 'uint',
  usage: 'Tasks of a drained node that may be on their way at once (0 to stop all of them at once, default 4)',
  parse: unsigned32,
});
export const WAIT = boolFlag({ name: 'wait', usage: 'Wait until a drained node is empty' });
export const TIMEOUT = valueFlag({
  name: 'timeout',
  type: 'duration',
  usage: 'With --wait: give up waiting after this time; the drain goes on',
  parse: positiveMs,
});

/** What the flags make of the spec. @throws CliError for flags that say nothing together */
export function drainOf(flags: FlagValues, availability: NodeAvailability, before: NodeSpec): DrainSpec | undefined {
  if (flags.given(TIMEOUT) && !flags.isSet(WAIT))
    throw new CliError('--timeout needs --wait', { hint: 'without --wait nothing is waited for' });
  if (availability !== NodeAvailability.DRAIN) {
    const given = [PARALLEL, WAIT].find((flag) => flags.given(flag));
    if (given !== undefined)
      throw new CliError(`--${given.name} is for nodes that are drained`, { hint: 'add --availability drain' });
    return undefined;
  }
  const parallelism = flags.value(PARALLEL);
  if (parallelism !== undefined) return DrainSpec.create({ parallelism });
  // A drain that is told anew begins anew, with the defaults; one that is waited for goes on as it was told.
  const isGoingOn = before.availability === NodeAvailability.DRAIN;
  if (isGoingOn && before.drain !== undefined) return before.drain;
  // Managers of an earlier release know no drain that can be waited for: they say so.
  return flags.isSet(WAIT) ? DrainSpec.create({}) : undefined;
}
