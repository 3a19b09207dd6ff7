import { isIP } from 'node:net';
import { invalidField } from '#common/errors.ts';
import { canonicalAddress } from '../kernel/ip-address.ts';
import { portsClash } from './host-ports.ts';
import { portText } from './port-holder.ts';
import type { HostPort } from './task-network.ts';

const PORT_MAX = 65_535;

/** The ports in normal form (no host address means every one). Throws `bad-field`. */
export function checkPorts(ports: readonly HostPort[]): readonly HostPort[] {
  const checked = ports.map((port): HostPort => {
    for (const [field, value, least] of [
      ['publishedPort', port.publishedPort, 0],
      ['targetPort', port.targetPort, 1],
    ] as const)
      if (!Number.isInteger(value) || value < least || value > PORT_MAX)
        throw invalidField(field, `${field}: ${value} is not a port number`, `use ${least} to ${PORT_MAX}`);
    const hostIp = port.hostIp === '' ? undefined : port.hostIp;
    if (hostIp !== undefined && (isIP(hostIp) === 0 || hostIp.includes('%')))
      throw invalidField('hostIp', `hostIp: ${JSON.stringify(hostIp)} is not an IP address`);
    const { protocol, publishedPort, targetPort } = port;
    return {
      protocol,
      publishedPort,
      targetPort,
      ...(hostIp === undefined ? {} : { hostIp: canonicalAddress(hostIp) }),
    };
  });
  checked.forEach((port, index) => {
    if (port.publishedPort !== 0 && checked.slice(index + 1).some((other) => portsClash(port, other)))
      throw invalidField('publishedPort', `publishedPort: ${portText(port)} is published twice by the same task`);
  });
  return checked;
}
