/** What services of the swarm may ask of its nodes. Not Docker's: its swarm has none of these options at all. */
import { ClusterPolicy, type ClusterSpec } from '#gen/swarm/v1/specs.ts';
import { type AnyFlag, boolFlag, type FlagValues } from '../../flags.ts';

const ALLOW_PRIVILEGED = boolFlag({ name: 'allow-privileged', usage: 'Allow services to run --privileged' });
const ALLOW_DEVICES = boolFlag({ name: 'allow-devices', usage: 'Allow services to use devices of nodes' });
const ALLOW_HOST_NAMESPACES = boolFlag({
  name: 'allow-host-namespaces',
  usage: 'Allow services to use the namespaces of nodes (--pid, --ipc, --uts, --userns, --cgroupns host)',
});
const ALLOW_UNCONFINED = boolFlag({
  name: 'allow-unconfined',
  usage: 'Allow services to choose their own seccomp, AppArmor and SELinux profiles, or none',
});
const REQUIRE_NO_NEW_PRIVILEGES = boolFlag({
  name: 'require-no-new-privileges',
  usage: 'Give every new container no_new_privileges',
});

export const POLICY_FLAGS: readonly AnyFlag[] = [
  ALLOW_PRIVILEGED,
  ALLOW_DEVICES,
  ALLOW_HOST_NAMESPACES,
  ALLOW_UNCONFINED,
  REQUIRE_NO_NEW_PRIVILEGES,
];

/** Nothing where nothing was ever asked for: managers of older releases know no such settings. */
export function policyOf(flags: FlagValues, before: ClusterPolicy | undefined): Partial<Pick<ClusterSpec, 'policy'>> {
  if (!flags.anyGiven(...POLICY_FLAGS)) return {};
  const policy = before ?? ClusterPolicy.create();
  return {
    policy: {
      ...policy,
      allowPrivileged: flags.value(ALLOW_PRIVILEGED) ?? policy.allowPrivileged,
      allowDevices: flags.value(ALLOW_DEVICES) ?? policy.allowDevices,
      allowHostNamespaces: flags.value(ALLOW_HOST_NAMESPACES) ?? policy.allowHostNamespaces,
      allowUnconfined: flags.value(ALLOW_UNCONFINED) ?? policy.allowUnconfined,
      requireNoNewPrivileges: flags.value(REQUIRE_NO_NEW_PRIVILEGES) ?? policy.requireNoNewPrivileges,
    },
  };
}
