import { boolFlag, listFlag } from '../../flags.ts';

/** Not Docker's: its volumes are those of one host. */
export const NODE = listFlag({
  name: 'node',
  type: 'node',
  usage: 'Node that has the volume ("all" for every node)',
  completions: 'node',
});

const DETACH_USAGE = 'Exit immediately instead of waiting for the node';
export const DETACH = boolFlag({ name: 'detach', short: 'd', usage: DETACH_USAGE });
/** Where -d is the driver. */
export const DETACH_LONG = boolFlag({ name: 'detach', usage: DETACH_USAGE });

export const FORCE = boolFlag({ name: 'force', short: 'f', usage: 'Do not prompt for confirmation' });
