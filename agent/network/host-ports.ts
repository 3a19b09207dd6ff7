/** Which addresses of the host a published port is about. */
import type { PublishedAt } from './task-network.ts';

export type Family = 4 | 6;

const EVERY_IPV4 = '0.0.0.0';
const EVERY_IPV6 = '::';

export function familyOfAddress(address: string): Family {
  return address.includes(':') ? 6 : 4;
}

/** Both where no address is given; `0.0.0.0` means every address of IPv4, `::` every one of IPv6. */
export function familiesOf({ hostIp }: Pick<PublishedAt, 'hostIp'>): readonly Family[] {
  return hostIp === undefined ? [4, 6] : [familyOfAddress(hostIp)];
}

/** The one address that the port is published on; undefined: every address of its families. */
export function boundAddress({ hostIp }: Pick<PublishedAt, 'hostIp'>): string | undefined {
  return hostIp === EVERY_IPV4 || hostIp === EVERY_IPV6 ? undefined : hostIp;
}

/** Whether no two programs could have these at the same time. */
export function portsClash(left: PublishedAt, right: PublishedAt): boolean {
  if (left.protocol !== right.protocol || left.publishedPort !== right.publishedPort) return false;
  if (!familiesOf(left).some((family) => familiesOf(right).includes(family))) return false;
  const [one, other] = [boundAddress(left), boundAddress(right)];
  return one === undefined || other === undefined || one === other;
}
