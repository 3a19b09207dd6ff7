/** The rules for what runs in a task. Every refusal names the field, the value, the rule and the way out. */
import { isIP } from 'node:net';
import { invalidField, SwarmError } from '#common/errors.ts';
import { parseImageReference } from '#common/image-reference.ts';
import { LIMITS } from '#common/limits.ts';
import { parseSignal } from '#common/signals.ts';
import { type ContainerSpec, type Mount, MountType } from '#gen/swarm/v1/specs.ts';
import { validateHealth } from './validate-health.ts';
import { bytes, tooLarge, validateLabels } from './validate-labels.ts';
import { hasPlaceholders } from './validate-placeholders.ts';
import { validateMountOptions } from './validate-volume.ts';

function noNul(field: string, texts: readonly string[]): void {
  for (const text of texts)
    if (text.includes('\0'))
      throw invalidField(field, `${field}: contains a NUL character`, 'remove it: no program can receive it');
}

function validateEnv(env: readonly string[]): void {
  noNul('env', env);
  let total = 0;
  for (const entry of env) {
    const name = entry.split('=', 1)[0] ?? '';
    if (name === '')
      throw invalidField('env', `env: ${JSON.stringify(entry.slice(0, 64))} has no name`, 'write NAME=value');
    const size = bytes(entry);
    total += size;
    if (size > LIMITS.ENV_ENTRY_BYTES)
      throw tooLarge(
        'env',
        `the value of ${name}`,
        size,
        'ENV_ENTRY_BYTES',
        'pass it in a file: --mount type=bind,...',
      );
  }
  if (total > LIMITS.ENV_TOTAL_BYTES)
    throw tooLarge('env', 'all of it together', total, 'ENV_TOTAL_BYTES', 'pass it in a file: --mount type=bind,...');
}

function validateCommand(spec: ContainerSpec): void {
  const words = [...spec.command, ...spec.args];
  noNul('args', words);
  const total = words.reduce((sum, word) => sum + bytes(word) + 1, 0);
  if (total > LIMITS.ARGS_TOTAL_BYTES)
    throw tooLarge('args', 'the command line', total, 'ARGS_TOTAL_BYTES', 'put the arguments into a file');
}

/** Directories of the container that no mount may cover. */
const FORBIDDEN_TARGETS = ['/proc', '/sys', '/dev'];

function validateMountTarget(field: string, mount: Mount): void {
  const { target } = mount;
  if (!target.startsWith('/'))
    throw invalidField(field, `${field}: target ${JSON.stringify(target)} is not an absolute path`, 'begin it with /');
  const normal = target.replace(/\/+/g, '/').replace(/(.)\/$/, '$1');
  if (normal.split('/').includes('..'))
    throw invalidField(field, `${field}: target ${target} contains ..`, 'give the path itself');
  if (normal === '/')
    throw invalidField(field, `${field}: invalid mount target: the root / cannot be mounted over`, 'mount a directory');
  for (const forbidden of FORBIDDEN_TARGETS)
    if (normal === forbidden || (forbidden !== '/dev' && normal.startsWith(`${forbidden}/`)))
      throw invalidField(
        field,
        `${field}: target ${target} lies in ${forbidden}, which the runtime owns`,
        'choose another target',
      );
}

function validateMountSource(field: string, mount: Mount): void {
  // The node looks at what becomes of it.
  if (hasPlaceholders(mount.source) && mount.type !== MountType.TMPFS) return;
  switch (mount.type) {
    case MountType.BIND:
      if (!mount.source.startsWith('/') || mount.source.split('/').includes('..'))
        throw invalidField(
          field,
          `${field}: bind source ${JSON.stringify(mount.source)} is not an absolute path`,
          'give the absolute path of a file or directory of the node',
        );
      return;
    case MountType.VOLUME:
      if (mount.source !== '' && !/^[a-zA-Z0-9][a-zA-Z0-9_.-]{0,127}$/.test(mount.source))
        throw invalidField(
          field,
          `${field}: volume name ${JSON.stringify(mount.source)} is not valid`,
          'use letters, digits, _ . and -; a path of the node is --mount type=bind,source=...',
        );
      return;
    case MountType.TMPFS:
      if (mount.source !== '') throw invalidField(field, `${field}: a tmpfs mount takes no source`, 'leave source out');
      if ((mount.tmpfs?.sizeBytes ?? 0) < 0)
        throw invalidField(field, `${field}: tmpfs-size must not be negative`, 'leave it out for the default');
      return;
    case MountType.UNSPECIFIED:
      throw invalidField(field, `${field}: the mount has no type`, 'use type=bind, type=volume or type=tmpfs');
  }
}

function validateMounts(mounts: readonly Mount[]): void {
  if (mounts.length > LIMITS.MOUNTS_PER_SERVICE)
    throw new SwarmError({
      code: 'invalid',
      reason: 'too-many',
      field: 'mounts',
      limit: 'MOUNTS_PER_SERVICE',
      message: `mounts: ${mounts.length}, the limit is ${LIMITS.MOUNTS_PER_SERVICE}`,
      hint: 'mount a common parent directory',
    });
  const targets = new Set<string>();
  mounts.forEach((mount, index) => {
    const field = `mounts[${index}]`;
    validateMountTarget(field, mount);
    validateMountSource(field, mount);
    validateMountOptions(field, mount);
    if (targets.has(mount.target))
      throw invalidField(
        field,
        `${field}: duplicate mount point ${mount.target}`,
        'give every mount a target of its own',
      );
    targets.add(mount.target);
  });
}

function validateUser(user: string): void {
  if (user === '') return;
  const match = /^([^:]+)(?::([^:]+))?$/.exec(user);
  const parts = match === null ? [] : [match[1], match[2]];
  const bad = parts.some((part) => part !== undefined && /^\d+$/.test(part) && Number(part) > 2 ** 31 - 1);
  if (match === null || bad || !/^[A-Za-z0-9_.:$-]+$/.test(user))
    throw invalidField(
      'user',
      `user: ${JSON.stringify(user)} is not a user`,
      'use a name or a number up to 2147483647, with an optional :group',
    );
}

function validateHostAndDns(spec: ContainerSpec): void {
  if (
    spec.hostname !== '' &&
    !hasPlaceholders(spec.hostname) &&
    (spec.hostname.length > 63 || !/^[a-zA-Z0-9]([a-zA-Z0-9.-]*[a-zA-Z0-9])?$/.test(spec.hostname))
  )
    throw invalidField(
      'hostname',
      `hostname: ${JSON.stringify(spec.hostname)} is not a host name`,
      'use letters, digits, . and -',
    );
  for (const line of spec.hosts) {
    const [address = '', name = ''] = line.split(/\s+/);
    if (isIP(address) === 0 || name === '' || !/^[\w. :%-]+$/.test(line))
      throw invalidField('hosts', `hosts: ${JSON.stringify(line)} is not "address name"`, 'write --host name:address');
  }
  for (const server of spec.dns?.nameservers ?? [])
    if (isIP(server) === 0)
      throw invalidField(
        'dns',
        `dns: ${JSON.stringify(server)} is not an IP address`,
        'give the address of a resolver',
      );
  for (const word of [...(spec.dns?.search ?? []), ...(spec.dns?.options ?? [])])
    if (!/^[\w.:-]+$/.test(word))
      throw invalidField('dns', `dns: ${JSON.stringify(word)} does not fit a line of resolv.conf`, 'use one word');
}

function validateProcess(spec: ContainerSpec): void {
  if (spec.dir !== '' && !spec.dir.startsWith('/'))
    throw invalidField('dir', `workdir: ${JSON.stringify(spec.dir)} is not an absolute path`, 'begin it with /');
  if (/^\/+(proc|sys)(\/|$)/.test(spec.dir) || spec.dir.split('/').includes('..'))
    throw invalidField('dir', `workdir: ${JSON.stringify(spec.dir)} is not allowed`, 'use a directory of the image');
  if (spec.stopSignal !== '') parseSignal('stop-signal', spec.stopSignal);
  if ((spec.stopGracePeriodMs ?? 0) < 0)
    throw invalidField('stop_grace_period', 'stop-grace-period: must not be negative', 'use 0s to kill at once');
  if (spec.oomScoreAdj < -1000 || spec.oomScoreAdj > 1000)
    throw invalidField(
      'oom_score_adj',
      `oom-score-adj: ${spec.oomScoreAdj} is not between -1000 and 1000`,
      'choose one that is',
    );
  for (const { name, soft, hard } of spec.ulimits) {
    if (soft < -1 || hard < -1)
      throw invalidField('ulimits', `ulimit ${name}: ${Math.min(soft, hard)} is not a limit`, 'use -1 for unlimited');
    if (hard !== -1 && (soft > hard || soft === -1))
      throw invalidField(
        'ulimits',
        `ulimit ${name}: soft limit ${soft} exceeds hard limit ${hard}`,
        'write name=soft:hard',
      );
  }
}

/** @throws SwarmError for the first rule that the spec breaks. */
export function validateContainer(spec: ContainerSpec): void {
  if (spec.image === '')
    throw invalidField('image', 'image: image reference must be provided', 'name the image to run');
  const reference = parseImageReference(spec.image);
  if (!reference.ok) throw reference.error;
  validateLabels('container labels', spec.labels);
  validateEnv(spec.env);
  validateCommand(spec);
  validateMounts(spec.mounts);
  validateUser(spec.user);
  validateHostAndDns(spec);
  validateProcess(spec);
  validateHealth(spec);
}
