import { type AnyFlag, boolFlag, listFlag, stringFlag, valueFlag } from '../../flags.ts';
import { extraHost, ipAddress, placementPreference, searchDomain, ulimit } from '../../values/container-values.ts';
import { environmentEntry, label, option } from '../../values/key-values.ts';
import { mount } from '../../values/mounts.ts';
import { networkAttachment } from '../../values/network-attachments.ts';
import { anyPorts, publishedPorts } from '../../values/ports.ts';
import { shellWords } from '../../values/shell-words.ts';
import { ABSENT_UPDATE_FLAGS } from './absent-flags.ts';
import { HEALTH_UPDATE_FLAGS } from './health-flags.ts';
import { ISOLATION_UPDATE_FLAGS } from './isolation-flags.ts';
import { JOB_UPDATE_FLAGS } from './job-flags.ts';
import { PAYLOAD_UPDATE_FLAGS } from './payload-flags.ts';
import { PLACEMENT_UPDATE_FLAGS } from './placement-flags.ts';
import { COMMON_FLAGS } from './service-flags.ts';
import { SHARE_UPDATE_FLAGS } from './share-flags.ts';

export const ARGS = valueFlag({ name: 'args', type: 'command', usage: 'Service command args', parse: shellWords });
/** Stands alone: Docker's other way to say `service rollback`. */
export const ROLLBACK = boolFlag({ name: 'rollback', usage: 'Rollback to previous specification' });
export const FORCE = boolFlag({ name: 'force', usage: 'Force update even if no changes require it' });
export const IMAGE = stringFlag({ name: 'image', usage: 'Service image tag', completions: 'image' });

export const LABEL_ADD = listFlag({ name: 'label-add', usage: 'Add or update a service label', parse: label });
export const LABEL_RM = listFlag({ name: 'label-rm', usage: 'Remove a label by its key' });
export const CONTAINER_LABEL_ADD = listFlag({
  name: 'container-label-add',
  usage: 'Add or update a container label',
  parse: label,
});
export const CONTAINER_LABEL_RM = listFlag({
  name: 'container-label-rm',
  usage: 'Remove a container label by its key',
});
export const CONSTRAINT_ADD = listFlag({ name: 'constraint-add', usage: 'Add or update a placement constraint' });
export const CONSTRAINT_RM = listFlag({ name: 'constraint-rm', usage: 'Remove a constraint' });
export const PLACEMENT_PREF_ADD = listFlag({
  name: 'placement-pref-add',
  type: 'pref',
  usage: 'Add a placement preference',
  parse: placementPreference,
});
export const PLACEMENT_PREF_RM = listFlag({
  name: 'placement-pref-rm',
  type: 'pref',
  usage: 'Remove a placement preference',
  parse: placementPreference,
});
export const DNS_ADD = listFlag({ name: 'dns-add', usage: 'Add or update a custom DNS server', parse: ipAddress });
export const DNS_RM = listFlag({ name: 'dns-rm', usage: 'Remove a custom DNS server' });
export const DNS_OPTION_ADD = listFlag({ name: 'dns-option-add', usage: 'Add or update a DNS option' });
export const DNS_OPTION_RM = listFlag({ name: 'dns-option-rm', usage: 'Remove a DNS option' });
export const DNS_SEARCH_ADD = listFlag({
  name: 'dns-search-add',
  usage: 'Add or update a custom DNS search domain',
  parse: searchDomain,
});
export const DNS_SEARCH_RM = listFlag({ name: 'dns-search-rm', usage: 'Remove a DNS search domain' });
export const ENV_ADD = listFlag({
  name: 'env-add',
  usage: 'Add or update an environment variable',
  parse: environmentEntry,
});
export const ENV_RM = listFlag({ name: 'env-rm', usage: 'Remove an environment variable' });
export const GROUP_ADD = listFlag({
  name: 'group-add',
  usage: 'Add an additional supplementary user group to the container',
});
export const GROUP_RM = listFlag({
  name: 'group-rm',
  usage: 'Remove a previously added supplementary user group from the container',
});
export const HOST_ADD = listFlag({
  name: 'host-add',
  usage: 'Add a custom host-to-IP mapping ("host:ip")',
  parse: extraHost,
});
export const HOST_RM = listFlag({ name: 'host-rm', usage: 'Remove a custom host-to-IP mapping ("host:ip")' });
export const MOUNT_ADD = listFlag({
  name: 'mount-add',
  type: 'mount',
  usage: 'Add or update a mount on a service',
  parse: mount,
});
export const MOUNT_RM = listFlag({ name: 'mount-rm', usage: 'Remove a mount by its target path' });
export const NETWORK_ADD = listFlag({
  name: 'network-add',
  type: 'network',
  usage: 'Add a network',
  completions: 'network',
  parse: networkAttachment,
});
export const NETWORK_RM = listFlag({ name: 'network-rm', usage: 'Remove a network', completions: 'network' });
export const PUBLISH_ADD = listFlag({
  name: 'publish-add',
  type: 'port',
  usage: 'Add or update a published port',
  parse: publishedPorts,
});
export const PUBLISH_RM = listFlag({
  name: 'publish-rm',
  type: 'port',
  usage: 'Remove a published port by its target port',
  parse: anyPorts,
});
export const SYSCTL_ADD = listFlag({ name: 'sysctl-add', usage: 'Add or update a Sysctl option', parse: option });
export const SYSCTL_RM = listFlag({ name: 'sysctl-rm', usage: 'Remove a Sysctl option' });
export const ULIMIT_ADD = listFlag({
  name: 'ulimit-add',
  type: 'ulimit',
  usage: 'Add or update a ulimit option',
  shownDefault: '[]',
  parse: ulimit,
});
export const ULIMIT_RM = listFlag({ name: 'ulimit-rm', usage: 'Remove a ulimit option' });

export const UPDATE_FLAGS: readonly AnyFlag[] = [
  ...COMMON_FLAGS,
  ARGS,
  FORCE,
  ROLLBACK,
  IMAGE,
  LABEL_ADD,
  LABEL_RM,
  CONTAINER_LABEL_ADD,
  CONTAINER_LABEL_RM,
  CONSTRAINT_ADD,
  CONSTRAINT_RM,
  PLACEMENT_PREF_ADD,
  PLACEMENT_PREF_RM,
  DNS_ADD,
  DNS_RM,
  DNS_OPTION_ADD,
  DNS_OPTION_RM,
  DNS_SEARCH_ADD,
  DNS_SEARCH_RM,
  ENV_ADD,
  ENV_RM,
  GROUP_ADD,
  GROUP_RM,
  HOST_ADD,
  HOST_RM,
  MOUNT_ADD,
  MOUNT_RM,
  NETWORK_ADD,
  NETWORK_RM,
  PUBLISH_ADD,
  PUBLISH_RM,
  SYSCTL_ADD,
  SYSCTL_RM,
  ULIMIT_ADD,
  ULIMIT_RM,
  ...HEALTH_UPDATE_FLAGS,
  ...JOB_UPDATE_FLAGS,
  ...ISOLATION_UPDATE_FLAGS,
  ...SHARE_UPDATE_FLAGS,
  ...PLACEMENT_UPDATE_FLAGS,
  ...PAYLOAD_UPDATE_FLAGS,
  ...ABSENT_UPDATE_FLAGS,
];
