/** AppArmor profiles and SELinux labels of a container. Pure. What the kernel does not enforce is refused, not ignored. */
import { SwarmError } from '#common/errors.ts';
import type { ContainerSpec } from './container-spec.ts';
import type { MachineFacts } from './machine-facts.ts';
import type { OciLinux, OciProcess } from './oci-spec.ts';

/** What policies for containers know: the type of their processes, and the one of files that all of them may use. */
const USER = 'system_u';
const ROLE = 'system_r';
const PROCESS_TYPE = 'container_t';
const FILE_ROLE = 'object_r';
const FILE_TYPE = 'container_file_t';
const UNCONFINED_TYPE = 'spc_t';
const LEVEL = 's0';

function notEnforced(field: string, what: string): SwarmError {
  return new SwarmError({
    code: 'precondition',
    reason: 'not-supported',
    field,
    message: `${field}: this node cannot do that: its kernel does not enforce ${what}`,
    hint: 'leave it out, or keep the service to nodes that can with a constraint',
  });
}

/** Nothing, where none is asked for: then the runtime sets none. */
export function appArmorProfile(spec: ContainerSpec, machine: MachineFacts): Pick<OciProcess, 'apparmorProfile'> {
  const name = spec.privileged ? 'unconfined' : spec.appArmorProfile;
  if (machine.appArmor) return name === '' ? {} : { apparmorProfile: name };
  // Where nothing is confined, to be unconfined is what there is.
  if (name === '' || name === 'unconfined') return {};
  throw notEnforced('security-opt', `AppArmor (apparmor=${name})`);
}

export interface SeLinuxLabels {
  readonly process: Pick<OciProcess, 'selinuxLabel'>;
  readonly linux: Pick<OciLinux, 'mountLabel'>;
}

export function seLinuxLabels(spec: ContainerSpec, machine: MachineFacts): SeLinuxLabels {
  const { user = USER, role = ROLE, type, level = LEVEL, disable } = spec.seLinuxLabels;
  const isDisabled = spec.privileged || disable !== undefined;
  const isAsked = !isDisabled && Object.keys(spec.seLinuxLabels).length > 0;
  if (!machine.seLinux) {
    if (isAsked) throw notEnforced('security-opt', 'SELinux (label=...)');
    return { process: {}, linux: {} };
  }
  if (!isAsked && !isDisabled) return { process: {}, linux: {} };
  const processType = isDisabled ? UNCONFINED_TYPE : (type ?? PROCESS_TYPE);
  return {
    process: { selinuxLabel: `${user}:${role}:${processType}:${level}` },
    linux: { mountLabel: `${USER}:${FILE_ROLE}:${FILE_TYPE}:${level}` },
  };
}
