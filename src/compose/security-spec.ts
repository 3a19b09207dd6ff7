/** `security_opt` and `devices`. */
import { type ContainerSpec, DeviceMapping, SeccompMode, SecurityOptions } from '#gen/swarm/v1/specs.ts';
import type { Fields } from './fields.ts';
import { honoured } from './keys.ts';

const SELINUX_FIELDS: ReadonlySet<string> = new Set(['user', 'role', 'type', 'level']);

/** `name=value`, or Docker's older `name:value`. */
function divided(text: string): readonly [name: string, value: string] {
  const at = text.search(/[=:]/);
  return at < 0 ? [text, ''] : [text.slice(0, at), text.slice(at + 1)];
}

/** Paths of seccomp profiles, which are read before anything is converted. */
export function seccompPaths(service: Fields): readonly string[] {
  return service.texts('security_opt').flatMap((text) => {
    const [name, value] = divided(text);
    return name === 'seccomp' && value !== 'unconfined' && value !== 'builtin' && value !== '' ? [value] : [];
  });
}

export function securityOf(
  service: Fields,
  profiles: ReadonlyMap<string, string>,
): Partial<Pick<ContainerSpec, 'security' | 'noNewPrivileges'>> {
  const options = service.texts('security_opt');
  if (options.length === 0) return {};
  let noNewPrivileges = false;
  let security: SecurityOptions = SecurityOptions.create();
  const labels: Record<string, string> = {};
  for (const text of options) {
    const [name, value] = divided(text);
    if (name === 'no-new-privileges') noNewPrivileges = value !== 'false';
    else if (name === 'apparmor' && value !== '') security = { ...security, apparmor: value };
    else if (name === 'systempaths' && value === 'unconfined') security = { ...security, systemPathsUnconfined: true };
    else if (name === 'seccomp' && value !== '') security = { ...security, ...seccompOf(value, profiles) };
    else if (name === 'label' && value === 'disable') labels.disable = 'true';
    else if (name === 'label' && SELINUX_FIELDS.has(divided(value)[0])) {
      const [field, content] = divided(value);
      labels[field] = content;
    } else
      service.error(
        'security_opt',
        `${JSON.stringify(text)} is not known`,
        'use no-new-privileges, seccomp=..., apparmor=..., label=... or systempaths=unconfined',
      );
  }
  const isEmpty = SecurityOptions.encode(security).length === 0 && Object.keys(labels).length === 0;
  return { noNewPrivileges, security: isEmpty ? undefined : { ...security, selinuxLabels: labels } };
}

function seccompOf(
  value: string,
  profiles: ReadonlyMap<string, string>,
): Pick<SecurityOptions, 'seccomp' | 'seccompProfile'> {
  if (value === 'unconfined') return { seccomp: SeccompMode.UNCONFINED, seccompProfile: '' };
  if (value === 'builtin') return { seccomp: SeccompMode.DEFAULT, seccompProfile: '' };
  return { seccomp: SeccompMode.CUSTOM, seccompProfile: profiles.get(value) ?? '' };
}

const DEVICE_KEYS = honoured('source', 'target', 'permissions');

export function devicesOf(service: Fields): readonly DeviceMapping[] {
  return service.maps('devices', DEVICE_KEYS).flatMap((fields) => {
    const source = fields.text('source') ?? '';
    if (!source.startsWith('/')) {
      fields.error(
        'source',
        `${JSON.stringify(source)} is not the path of a device of the node`,
        source.includes('=') ? 'devices by CDI name are not known: give paths' : 'write /dev/NAME',
      );
      return [];
    }
    return [
      DeviceMapping.create({
        pathOnHost: source,
        pathInContainer: fields.text('target') ?? '',
        permissions: fields.text('permissions') ?? '',
      }),
    ];
  });
}
