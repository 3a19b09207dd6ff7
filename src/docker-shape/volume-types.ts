/** Docker's type of a volume (API 1.50). */
import { list, STRING, STRING_MAP, STRINGS, struct } from '#common/template/go-types.ts';

/** What is only known of a volume that a node of a swarm has; in Docker `Status` is whatever the driver says. */
const STATUS = struct('volume.Status', {
  ID: STRING,
  NodeID: STRING,
  Node: STRING,
  State: STRING,
  'Message?': STRING,
  'Tasks?': STRINGS,
  'Services?': STRINGS,
  'Claims?': list(STRING),
});

export const VOLUME = struct('volume.Volume', {
  'CreatedAt?': STRING,
  Driver: STRING,
  Labels: STRING_MAP,
  Mountpoint: STRING,
  Name: STRING,
  Options: STRING_MAP,
  Scope: STRING,
  'Status?': STATUS,
});
