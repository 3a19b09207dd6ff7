/** IPv6 on the gateway network: addresses that follow from the daemon's name and mean something on this node alone. */
import { readFile } from 'node:fs/promises';
import { canonicalAddress } from '../kernel/ip-address.ts';
import type { InstanceNames } from './instance.ts';
import { sysctlPath } from './sysctls.ts';

/** The smallest packet that a device with IPv6 must carry. */
const MTU_MIN = 1280;

export interface Ipv6Plan {
  /** Everything of the gateway network: "fd12:3456:789a::/48". Tasks are in its first /64, the cable in the second. */
  readonly prefix: string;
  /** The host's end of the cable. */
  readonly hostAddress: string;
  /** The gateway namespace's end. */
  readonly gatewayAddress: string;
}

/** A local prefix (RFC 4193): its 40 bits are those of the daemon's tag, so nobody chooses and nothing is kept. */
function groupsOf({ tag }: InstanceNames): string {
  const digits = Number.parseInt(tag, 32).toString(16).padStart(10, '0');
  return `fd${digits.slice(0, 2)}:${digits.slice(2, 6)}:${digits.slice(6)}`;
}

export function ipv6Plan(names: InstanceNames): Ipv6Plan {
  const groups = groupsOf(names);
  return {
    prefix: `${canonicalAddress(`${groups}::`)}/48`,
    hostAddress: canonicalAddress(`${groups}:1::1`),
    gatewayAddress: canonicalAddress(`${groups}:1::2`),
  };
}

/** Of the task with this number. */
export function taskAddress6(names: InstanceNames, number: number): string {
  const [high, low] = [number >>> 16, number & 0xffff];
  return canonicalAddress(`${groupsOf(names)}:0:0:0:${high.toString(16)}:${low.toString(16)}`);
}

/** Whether this host speaks IPv6, and its devices carry packets that are large enough for it. */
export async function hostHasIpv6(mtu: number): Promise<boolean> {
  if (mtu < MTU_MIN) return false;
  try {
    return (await readFile(sysctlPath('ipv6/conf/all/disable_ipv6'), 'utf8')).trim() === '0';
  } catch {
    // A kernel without IPv6.
    return false;
  }
}
