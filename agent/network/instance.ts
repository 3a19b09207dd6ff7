import { createHash } from 'node:crypto';
import { invalidField } from '#common/errors.ts';

/** Number of address pairs below 169.254.64.0/18: half of its addresses, the last pair left out. */
export const LINK_PAIRS = 8191;

/**
 * What one daemon calls its things on the host. All derived from its instance name, so that several daemons share a
 * host, and so that a daemon that lost its memory still finds what is its own.
 */
export interface InstanceNames {
  /** Eight letters and digits. */
  readonly tag: string;
  /** The host's end of the cable to the gateway namespace; at most 15 characters. */
  readonly hostLink: string;
  /** The nftables table in the host's namespace. */
  readonly hostTable: string;
  /** The routing table that leads to the gateway network. */
  readonly routingTable: number;
  /** Which pair of link-local addresses to try first. */
  readonly firstLinkPair: number;
}

/** The nftables tables of all daemons begin with this. */
export const HOST_TABLE_PREFIX = 'starling_';

/** Routing tables 0x53000000 to 0x53ffffff: far from those that people number by hand. */
const ROUTING_TABLE_BASE = 0x53000000;

const INSTANCE_LENGTH_MAX = 4096;

/** Of any text, the daemon's state directory for one: names are made of its digest. Throws `bad-field` when it is empty. */
export function instanceNames(instance: string): InstanceNames {
  if (instance === '' || instance.length > INSTANCE_LENGTH_MAX)
    throw invalidField('instance', `instance: has ${instance.length} characters, not 1 to ${INSTANCE_LENGTH_MAX}`);
  const digest = createHash('sha256').update(instance).digest();
  // 40 bits in 8 base32 digits.
  const tag = digest.readUIntBE(0, 5).toString(32).padStart(8, '0');
  return {
    tag,
    hostLink: `sl-${tag}`,
    hostTable: `${HOST_TABLE_PREFIX}${tag}`,
    routingTable: ROUTING_TABLE_BASE + digest.readUIntBE(5, 3),
    firstLinkPair: digest.readUInt32BE(8) % LINK_PAIRS,
  };
}
