/** Docker's network types (API 1.50), with the counts of addresses that API 1.52 adds to them. */
import {
  BOOL,
  INT,
  list,
  mapOf,
  pointer,
  STRING,
  STRING_MAP,
  STRINGS,
  struct,
  TIME,
  UINT,
} from '#common/template/go-types.ts';

const IPAM_CONFIG = struct('network.IPAMConfig', {
  'Subnet?': STRING,
  'IPRange?': STRING,
  'Gateway?': STRING,
  'AuxAddress=AuxiliaryAddresses?': STRING_MAP,
});

const ENDPOINT_RESOURCE = struct('network.EndpointResource', {
  Name: STRING,
  EndpointID: STRING,
  MacAddress: STRING,
  IPv4Address: STRING,
  IPv6Address: STRING,
});

const SERVICE_INFO = struct('network.ServiceInfo', {
  VIP: STRING,
  Ports: STRINGS,
  LocalLBIndex: INT,
  Tasks: list(struct('network.Task', { Name: STRING, EndpointID: STRING, EndpointIP: STRING, Info: STRING_MAP })),
});

const SUBNET_STATUS = struct('network.SubnetStatus', { IPsInUse: UINT, DynamicIPsAvailable: UINT });

export const NETWORK = struct('network.Inspect', {
  Name: STRING,
  'ID=Id': STRING,
  Created: TIME,
  Scope: STRING,
  Driver: STRING,
  EnableIPv4: BOOL,
  EnableIPv6: BOOL,
  IPAM: struct('network.IPAM', { Driver: STRING, Options: STRING_MAP, Config: list(IPAM_CONFIG) }),
  Internal: BOOL,
  Attachable: BOOL,
  Ingress: BOOL,
  ConfigFrom: struct('network.ConfigReference', { Network: STRING }),
  ConfigOnly: BOOL,
  Containers: mapOf(ENDPOINT_RESOURCE),
  Options: STRING_MAP,
  Labels: STRING_MAP,
  'Peers?': list(struct('network.PeerInfo', { Name: STRING, IP: STRING })),
  'Services?': mapOf(SERVICE_INFO),
  '+Status?': pointer(
    struct('network.Status', {
      IPAM: struct('network.IPAMStatus', { Subnets: mapOf(SUBNET_STATUS) }),
      // Docker has none: it says nothing of a network that runs out.
      'Problem?': STRING,
    }),
  ),
});

/** What `network create` sends. */
export const NETWORK_CREATE = struct('network.CreateRequest', {
  'Name?': STRING,
  Driver: STRING,
  Scope: STRING,
  'EnableIPv6?': pointer(BOOL),
  IPAM: pointer(struct('network.IPAM', { Driver: STRING, Options: STRING_MAP, Config: list(IPAM_CONFIG) })),
  Internal: BOOL,
  Attachable: BOOL,
  Ingress: BOOL,
  ConfigOnly: BOOL,
  ConfigFrom: pointer(struct('network.ConfigReference', { Network: STRING })),
  Options: STRING_MAP,
  Labels: STRING_MAP,
});
