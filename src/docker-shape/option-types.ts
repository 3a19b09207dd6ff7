/** How a container is set apart and what it shares, as data. What Docker's services have not has the names of HostConfig. */
import {
  BOOL,
  BYTES,
  type GoType,
  INT,
  list,
  named,
  pointer,
  STRING,
  STRING_MAP,
  STRINGS,
  struct,
  UINT,
} from '#common/template/go-types.ts';

export const PRIVILEGES = struct('swarm.Privileges', {
  CredentialSpec: pointer(struct('swarm.CredentialSpec', {})),
  SELinuxContext: pointer(
    struct('swarm.SELinuxContext', { Disable: BOOL, User: STRING, Role: STRING, Type: STRING, Level: STRING }),
  ),
  'Seccomp?': pointer(struct('swarm.SeccompOpts', { 'Mode?': named('swarm.SeccompMode'), 'Profile?': BYTES })),
  'AppArmor?': pointer(
    // Docker's has the modes only.
    struct('swarm.AppArmorOpts', { 'Mode?': named('swarm.AppArmorMode'), '+Profile?': STRING }),
  ),
  NoNewPrivileges: BOOL,
  '+SystemPathsUnconfined?': BOOL,
});

const DEVICE = struct('container.DeviceMapping', {
  PathOnHost: STRING,
  PathInContainer: STRING,
  CgroupPermissions: STRING,
});

/** Fields of a service's container that Docker's services have not. */
export const CONTAINER_OPTIONS: Readonly<Record<string, GoType>> = {
  '+Privileged?': BOOL,
  '+Devices?': list(DEVICE),
  '+DeviceCgroupRules?': STRINGS,
  '+ShmSize?': INT,
  '+PidMode?': STRING,
  '+IpcMode?': STRING,
  '+UTSMode?': STRING,
  '+UsernsMode?': STRING,
  '+CgroupnsMode?': STRING,
  '+Domainname?': STRING,
  '+Runtime?': STRING,
  '+Annotations?': STRING_MAP,
  '+OomKillDisable?': BOOL,
};

const WEIGHT_DEVICE = struct('blkiodev.WeightDevice', { Path: STRING, Weight: UINT });
const THROTTLE_DEVICE = struct('blkiodev.ThrottleDevice', { Path: STRING, Rate: UINT });

/** Fields of a service's resources beside limits and reservations. The first two are Docker's since API 1.52. */
export const SHARES: Readonly<Record<string, GoType>> = {
  '+SwapBytes?': pointer(INT),
  '+MemorySwappiness?': pointer(INT),
  '+MemorySoftLimit?': INT,
  '+CpuShares?': INT,
  '+CpusetCpus?': STRING,
  '+CpusetMems?': STRING,
  '+BlkioWeight?': UINT,
  '+BlkioWeightDevice?': list(WEIGHT_DEVICE),
  '+BlkioDeviceReadBps?': list(THROTTLE_DEVICE),
  '+BlkioDeviceWriteBps?': list(THROTTLE_DEVICE),
  '+BlkioDeviceReadIOps?': list(THROTTLE_DEVICE),
  '+BlkioDeviceWriteIOps?': list(THROTTLE_DEVICE),
};

/** What the swarm allows its services. Docker's has none. */
export const CLUSTER_POLICY = struct('swarm.Policy', {
  AllowPrivileged: BOOL,
  AllowDevices: BOOL,
  AllowHostNamespaces: BOOL,
  AllowUnconfined: BOOL,
  RequireNoNewPrivileges: BOOL,
});
