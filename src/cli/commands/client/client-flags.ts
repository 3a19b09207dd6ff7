/** What the commands of clients have in common. */
import { CLIENT_ROLES } from '#proto/client-roles.ts';
import { stringFlag, valueFlag } from '../../flags.ts';
import { oneOf, positiveMs } from '../../values/scalars.ts';

export const ROLE = valueFlag({
  name: 'role',
  type: 'string',
  usage: 'What the client may do: see everything ("viewer"), declare services ("operator"), or run the swarm ("admin")',
  shownDefault: '"viewer"',
  completions: Object.keys(CLIENT_ROLES),
  parse: oneOf(CLIENT_ROLES, (text) => `role must be admin, operator or viewer, not ${JSON.stringify(text)}`),
});

export const EXPIRY = valueFlag({
  name: 'expiry',
  type: 'duration',
  usage: 'How long the certificate holds (8760h for a year)',
  // 0 would be taken for nothing said, which is a year.
  parse: positiveMs,
});

export const BUNDLE_OUTPUT = stringFlag({
  name: 'output',
  short: 'o',
  usage:
    'Directory to write the bundle to, or "-" for one JSON document on standard output (default: a directory of the client\'s name)',
  completions: 'file',
});
