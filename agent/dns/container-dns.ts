/** What makes 127.0.0.11 answer inside a container's network namespace. Text only; who makes the namespace applies it. */
import { isIPv4 } from 'node:net';
import { assert } from '#common/errors.ts';
import { CONTAINER_NAMESERVER } from './book/resolv-conf.ts';

const TABLE = 'starling_dns';

export interface ContainerDnsOptions {
  /** The host's end of the cable, where the resolver listens. IPv4. */
  readonly serverAddress: string;
  /** 53 unless said otherwise. */
  readonly serverPort?: number;
  /** The device that leads there. */
  readonly device?: string;
}

export interface ContainerDns {
  /** One nftables transaction; replaces the table if it is there. */
  readonly nftables: string;
  /** Settings below net/, by name, to be written after the device is there. */
  readonly settings: readonly (readonly [name: string, value: string])[];
}

/**
 * Questions to 127.0.0.11 go to the host's end of the cable, from the container's own address on it: that is how the
 * resolver knows who asks. The answer comes back from 127.0.0.11.
 */
export function containerDns({ serverAddress, serverPort = 53, device = 'gw' }: ContainerDnsOptions): ContainerDns {
  assert(isIPv4(serverAddress), 'the resolver listens on an IPv4 address');
  assert(/^[A-Za-z0-9_.-]{1,15}$/.test(device), 'the device has a plain name');
  assert(Number.isInteger(serverPort) && serverPort > 0 && serverPort < 65_536, 'the port is one');
  return {
    nftables: `
add table ip ${TABLE}
delete table ip ${TABLE}
table ip ${TABLE} {
  chain output {
    type nat hook output priority -100; policy accept;
    ip daddr ${CONTAINER_NAMESERVER} meta l4proto { tcp, udp } th dport 53 dnat to ${serverAddress}:${serverPort}
  }
  chain postrouting {
    type nat hook postrouting priority 100; policy accept;
    oifname "${device}" ip saddr 127.0.0.0/8 masquerade
  }
}
`,
    // Without it the kernel drops what leaves by a device with a loopback source, before it is translated.
    settings: [[`ipv4/conf/${device}/route_localnet`, '1']],
  };
}
