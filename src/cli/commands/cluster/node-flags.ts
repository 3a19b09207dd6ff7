/** Flags about the own node, which `init` and `join` share. */
import type { NodeAvailability } from '#gen/swarm/v1/specs.ts';
import { CliError } from '../../cli-errors.ts';
import { boolFlag, type FlagValues, stringFlag } from '../../flags.ts';
import { AVAILABILITIES } from '../node/availabilities.ts';

export const ADVERTISE_ADDR = stringFlag({
  name: 'advertise-addr',
  usage: 'Advertised address (format: "<ip|interface>[:port]")',
});
export const LISTEN_ADDR = stringFlag({
  name: 'listen-addr',
  type: 'node-addr',
  usage: 'Listen address (format: "<ip|interface>[:port]")',
  shownDefault: '0.0.0.0:2377',
});
export const DATA_PATH_ADDR = stringFlag({
  name: 'data-path-addr',
  usage: 'Address or interface to use for data path traffic (format: "<ip|interface>")',
});
export const AVAILABILITY = stringFlag({
  name: 'availability',
  usage: 'Availability of the node ("active", "pause", "drain")',
  shownDefault: '"active"',
  completions: Object.keys(AVAILABILITIES),
});
/** Not Docker's: its daemon looks at nothing. */
export const SKIP_PREFLIGHT = boolFlag({
  name: 'skip-preflight',
  usage: 'Go on although a check of this host has failed',
});

/** Throws a CliError in Docker's words. */
export function availabilityOf(flags: FlagValues): NodeAvailability {
  const text = (flags.value(AVAILABILITY) ?? 'active').toLowerCase();
  if (Object.hasOwn(AVAILABILITIES, text)) return AVAILABILITIES[text as keyof typeof AVAILABILITIES];
  throw new CliError(`invalid availability ${JSON.stringify(text)}, only active, pause and drain are supported`);
}
