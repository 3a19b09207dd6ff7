import { type AnyFlag, boolFlag, listFlag, refusedFlag, stringFlag } from '../../flags.ts';
import { csvFields } from '../../values/csv.ts';
import { label, option } from '../../values/key-values.ts';

export const ATTACHABLE = boolFlag({ name: 'attachable', usage: 'Enable manual container attachment' });
export const AUX_ADDRESS = listFlag({
  name: 'aux-address',
  type: 'map',
  usage: 'Auxiliary IPv4 or IPv6 addresses used by Network driver',
  shownDefault: 'map[]',
  parse: option,
});
/** Docker's is bridge: a network of one node, which its services cannot join. */
export const DRIVER = stringFlag({
  name: 'driver',
  short: 'd',
  usage: 'Driver to manage the Network',
  shownDefault: '"overlay"',
  completions: ['overlay', 'bridge', 'macvlan', 'ipvlan'],
});
export const GATEWAY = listFlag({
  name: 'gateway',
  type: 'strings',
  usage: 'IPv4 or IPv6 Gateway for the master subnet',
  parse: csvFields,
});
export const INGRESS = boolFlag({ name: 'ingress', usage: 'Create swarm routing-mesh network' });
export const INTERNAL = boolFlag({ name: 'internal', usage: 'Restrict external access to the network' });
export const IP_RANGE = listFlag({
  name: 'ip-range',
  type: 'strings',
  usage: 'Allocate container ip from a sub-range',
  parse: csvFields,
});
export const IPAM_DRIVER = stringFlag({
  name: 'ipam-driver',
  usage: 'IP Address Management Driver',
  shownDefault: '"default"',
  completions: ['default'],
});
export const IPAM_OPT = listFlag({
  name: 'ipam-opt',
  type: 'map',
  usage: 'Set IPAM driver specific options',
  shownDefault: 'map[]',
  parse: option,
});
export const IPV4 = boolFlag({
  name: 'ipv4',
  usage: 'Enable or disable IPv4 address assignment',
  shownDefault: 'true',
});
export const IPV6 = boolFlag({ name: 'ipv6', usage: 'Enable or disable IPv6 address assignment' });
export const LABEL = listFlag({ name: 'label', usage: 'Set metadata on a network', parse: label });
export const OPT = listFlag({
  name: 'opt',
  short: 'o',
  type: 'map',
  usage: 'Set driver specific options',
  shownDefault: 'map[]',
  parse: option,
});
export const SCOPE = stringFlag({
  name: 'scope',
  usage: "Control the network's scope",
  completions: ['swarm'],
});
export const SUBNET = listFlag({
  name: 'subnet',
  type: 'strings',
  usage: 'Subnet in CIDR format that represents a network segment',
  parse: csvFields,
});

const CONFIG_NETWORK = {
  because: 'a network is declared whole, for all nodes at once: there are no networks that only hold a configuration',
  hint: 'give the configuration to the network itself: --subnet, --gateway, --ip-range, --opt',
};

export const CREATE_FLAGS: readonly AnyFlag[] = [
  ATTACHABLE,
  AUX_ADDRESS,
  refusedFlag('config-from', true, CONFIG_NETWORK),
  refusedFlag('config-only', false, CONFIG_NETWORK),
  DRIVER,
  GATEWAY,
  INGRESS,
  INTERNAL,
  IP_RANGE,
  IPAM_DRIVER,
  IPAM_OPT,
  IPV4,
  IPV6,
  LABEL,
  OPT,
  SCOPE,
  SUBNET,
];
