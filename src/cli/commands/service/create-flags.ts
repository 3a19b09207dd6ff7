import { type AnyFlag, listFlag, stringFlag } from '../../flags.ts';
import { extraHost, ipAddress, placementPreference, searchDomain, ulimit } from '../../values/container-values.ts';
import { environmentEntry, label, option } from '../../values/key-values.ts';
import { mount } from '../../values/mounts.ts';
import { networkAttachment } from '../../values/network-attachments.ts';
import { publishedPorts } from '../../values/ports.ts';
import { ABSENT_CREATE_FLAGS } from './absent-flags.ts';
import { HEALTH_CREATE_FLAGS } from './health-flags.ts';
import { ISOLATION_FLAGS } from './isolation-flags.ts';
import { JOB_CREATE_FLAGS } from './job-flags.ts';
import { PAYLOAD_CREATE_FLAGS } from './payload-flags.ts';
import { PLACEMENT_CREATE_FLAGS } from './placement-flags.ts';
import { COMMON_FLAGS, withShownDefaults } from './service-flags.ts';
import { SHARE_FLAGS } from './share-flags.ts';

export const NAME = stringFlag({ name: 'name', usage: 'Service name' });
export const MODE = stringFlag({
  name: 'mode',
  usage: 'Service mode ("replicated", "global", "replicated-job", "global-job")',
  shownDefault: '"replicated"',
  completions: ['replicated', 'global', 'replicated-job', 'global-job'],
});
export const LABEL = listFlag({ name: 'label', short: 'l', usage: 'Service labels', parse: label });
export const CONTAINER_LABEL = listFlag({ name: 'container-label', usage: 'Container labels', parse: label });
export const CONSTRAINT = listFlag({ name: 'constraint', usage: 'Placement constraints' });
export const PLACEMENT_PREF = listFlag({
  name: 'placement-pref',
  type: 'pref',
  usage: 'Add a placement preference',
  parse: placementPreference,
});
export const DNS = listFlag({ name: 'dns', usage: 'Set custom DNS servers', parse: ipAddress });
export const DNS_OPTION = listFlag({ name: 'dns-option', usage: 'Set DNS options' });
export const DNS_SEARCH = listFlag({
  name: 'dns-search',
  usage: 'Set custom DNS search domains',
  parse: searchDomain,
});
export const ENV = listFlag({ name: 'env', short: 'e', usage: 'Set environment variables', parse: environmentEntry });
export const ENV_FILE = listFlag({
  name: 'env-file',
  usage: 'Read in a file of environment variables',
  completions: 'file',
});
export const GROUP = listFlag({
  name: 'group',
  usage: 'Set one or more supplementary user groups for the container',
});
export const HOST = listFlag({
  name: 'host',
  usage: 'Set one or more custom host-to-IP mappings (host:ip)',
  parse: extraHost,
});
export const MOUNT = listFlag({
  name: 'mount',
  type: 'mount',
  usage: 'Attach a filesystem mount to the service',
  parse: mount,
});
export const NETWORK = listFlag({
  name: 'network',
  type: 'network',
  usage: 'Network attachments',
  completions: 'network',
  parse: networkAttachment,
});
export const PUBLISH = listFlag({
  name: 'publish',
  short: 'p',
  type: 'port',
  usage: 'Publish a port as a node port',
  parse: publishedPorts,
});
export const SYSCTL = listFlag({ name: 'sysctl', usage: 'Sysctl options', parse: option });
export const ULIMIT = listFlag({
  name: 'ulimit',
  type: 'ulimit',
  usage: 'Ulimit options',
  shownDefault: '[]',
  parse: ulimit,
});

export const CREATE_FLAGS: readonly AnyFlag[] = [
  ...withShownDefaults(COMMON_FLAGS),
  NAME,
  MODE,
  LABEL,
  CONTAINER_LABEL,
  CONSTRAINT,
  PLACEMENT_PREF,
  DNS,
  DNS_OPTION,
  DNS_SEARCH,
  ENV,
  ENV_FILE,
  GROUP,
  HOST,
  MOUNT,
  NETWORK,
  PUBLISH,
  SYSCTL,
  ULIMIT,
  ...HEALTH_CREATE_FLAGS,
  ...JOB_CREATE_FLAGS,
  ...ISOLATION_FLAGS,
  ...SHARE_FLAGS,
  ...PLACEMENT_CREATE_FLAGS,
  ...PAYLOAD_CREATE_FLAGS,
  ...ABSENT_CREATE_FLAGS,
];
