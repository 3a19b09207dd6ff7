/**
 * Every key that a compose file may have, and what becomes of it. What is not in these tables is refused; what is in
 * them is honoured, left out with a warning, or refused with a way out. docs/stacks.md has the same tables.
 */
import type { Problems } from './place.ts';
import type { MapNode } from './tree.ts';

export type KeyRule =
  | 'honoured'
  /** Left out with a warning: it asks for nothing that a swarm could do, or for what a swarm does anyway. */
  | { readonly leftOut: string; readonly hint: string }
  /** The file cannot be deployed as it is. */
  | { readonly refused: string; readonly hint: string };

export type KeyTable = Readonly<Record<string, KeyRule>>;

const leftOut = (why: string, hint: string): KeyRule => ({ leftOut: why, hint });
const refused = (why: string, hint: string): KeyRule => ({ refused: why, hint });

const WINDOWS = refused('it is for Windows only', 'leave it out');
const SOURCES = 'leave it out, or keep it in a file for development that is not deployed';
const REAL_TIME = refused('real-time scheduling is not given to containers here', 'use cpus or cpu_shares');
const INSIDE = 'put it into the entrypoint of the image';

export const TOP_KEYS: KeyTable = {
  version: leftOut('it has had no meaning since the Compose Spec', 'leave it out'),
  name: 'honoured',
  include: 'honoured',
  services: 'honoured',
  networks: 'honoured',
  volumes: 'honoured',
  secrets: 'honoured',
  configs: 'honoured',
  models: refused('there are no model runners on the nodes', 'run the model as a service'),
};

export const SERVICE_KEYS: KeyTable = {
  annotations: 'honoured',
  attach: leftOut('a stack is deployed without its output', 'use `swarm service logs`'),
  blkio_config: 'honoured',
  build: leftOut(
    'a stack is deployed from images that are built already',
    'build and push it first: swarm build -t NAME, and give it as image',
  ),
  cap_add: 'honoured',
  cap_drop: 'honoured',
  cgroup: 'honoured',
  cgroup_parent: refused('nodes put tasks into cgroups of their own', 'use deploy.resources'),
  command: 'honoured',
  configs: 'honoured',
  container_name: leftOut(
    'tasks have names of their own: STACK_SERVICE.SLOT.ID',
    'reach it by the name of the service',
  ),
  cpu_count: WINDOWS,
  cpu_percent: WINDOWS,
  cpu_period: 'honoured',
  cpu_quota: 'honoured',
  cpu_rt_period: REAL_TIME,
  cpu_rt_runtime: REAL_TIME,
  cpu_shares: 'honoured',
  cpus: 'honoured',
  cpuset: 'honoured',
  credential_spec: WINDOWS,
  depends_on: 'honoured',
  deploy: 'honoured',
  develop: leftOut('it is for work on the source', SOURCES),
  device_cgroup_rules: 'honoured',
  devices: 'honoured',
  dns: 'honoured',
  dns_opt: 'honoured',
  dns_search: 'honoured',
  domainname: 'honoured',
  entrypoint: 'honoured',
  env_file: 'honoured',
  environment: 'honoured',
  expose: leftOut('every port is open to services on the same network', 'leave it out'),
  extends: 'honoured',
  external_links: leftOut('containers outside of the swarm have no names in it', 'use extra_hosts'),
  extra_hosts: 'honoured',
  gpus: 'honoured',
  group_add: 'honoured',
  healthcheck: 'honoured',
  hostname: 'honoured',
  image: 'honoured',
  init: 'honoured',
  ipc: 'honoured',
  isolation: WINDOWS,
  label_file: 'honoured',
  labels: 'honoured',
  links: 'honoured',
  logging: 'honoured',
  mac_address: refused('addresses are given out by the swarm', 'leave it out'),
  mem_limit: 'honoured',
  mem_reservation: 'honoured',
  mem_swappiness: 'honoured',
  memswap_limit: 'honoured',
  models: refused('there are no model runners on the nodes', 'run the model as a service'),
  network_mode: 'honoured',
  networks: 'honoured',
  oom_kill_disable: 'honoured',
  oom_score_adj: 'honoured',
  pid: 'honoured',
  pids_limit: 'honoured',
  platform: 'honoured',
  ports: 'honoured',
  post_start: refused('nothing is run in a container beside its own program', INSIDE),
  pre_stop: refused('nothing is run in a container beside its own program', `${INSIDE}, and see to it on SIGTERM`),
  privileged: 'honoured',
  profiles: 'honoured',
  provider: refused('services are containers here', 'run it as an image'),
  pull_policy: leftOut(
    'nodes pull what they do not have, by the digest that the deployment recorded',
    'use --resolve-image',
  ),
  pull_refresh_after: leftOut('a deployment records the digest', 'use --resolve-image'),
  read_only: 'honoured',
  restart: 'honoured',
  runtime: 'honoured',
  scale: 'honoured',
  secrets: 'honoured',
  security_opt: 'honoured',
  shm_size: 'honoured',
  stdin_open: 'honoured',
  stop_grace_period: 'honoured',
  stop_signal: 'honoured',
  storage_opt: refused('root file systems have no size of their own', 'mount a volume for what grows'),
  sysctls: 'honoured',
  tmpfs: 'honoured',
  tty: 'honoured',
  ulimits: 'honoured',
  use_api_socket: refused('containers get no access to an engine', 'mount the socket: volumes'),
  user: 'honoured',
  userns_mode: 'honoured',
  uts: 'honoured',
  volume_driver: refused(
    'it is the driver of no volume in particular',
    'give the volume its driver: volumes.NAME.driver',
  ),
  volumes: 'honoured',
  volumes_from: refused('other containers may be on other nodes', 'mount the same named volume in both'),
  working_dir: 'honoured',
};

export const DEPLOY_KEYS: KeyTable = {
  endpoint_mode: 'honoured',
  labels: 'honoured',
  mode: 'honoured',
  placement: 'honoured',
  replicas: 'honoured',
  resources: 'honoured',
  restart_policy: 'honoured',
  rollback_config: 'honoured',
  update_config: 'honoured',
};

export const NETWORK_KEYS: KeyTable = {
  attachable: 'honoured',
  driver: 'honoured',
  driver_opts: 'honoured',
  enable_ipv4: 'honoured',
  enable_ipv6: 'honoured',
  external: 'honoured',
  internal: 'honoured',
  ipam: 'honoured',
  labels: 'honoured',
  name: 'honoured',
};

export const VOLUME_KEYS: KeyTable = {
  driver: 'honoured',
  driver_opts: 'honoured',
  external: 'honoured',
  labels: 'honoured',
  name: 'honoured',
};

const PAYLOAD_KEYS: KeyTable = {
  content: 'honoured',
  environment: 'honoured',
  external: 'honoured',
  file: 'honoured',
  labels: 'honoured',
  name: 'honoured',
  template_driver: 'honoured',
};

const DRIVER = refused(
  'secrets come from the file that is deployed, or exist already',
  'use file, environment or external',
);

export const SECRET_KEYS: KeyTable = { ...PAYLOAD_KEYS, driver: DRIVER, driver_opts: DRIVER };
export const CONFIG_KEYS: KeyTable = PAYLOAD_KEYS;

/** All of them honoured. */
export function honoured(...names: readonly string[]): KeyTable {
  return Object.fromEntries(names.map((name) => [name, 'honoured' as const]));
}

/** Names what the table does not know, and what it leaves out or refuses. Keys that begin with `x-` are the user's own. */
export function checkKeys(map: MapNode, table: KeyTable, path: string, problems: Problems): void {
  for (const [key, { keyAt }] of map.entries) {
    if (key.startsWith('x-')) continue;
    const at = path === '' ? key : `${path}.${key}`;
    const rule = Object.hasOwn(table, key) ? table[key] : undefined;
    if (rule === undefined) problems.error(keyAt, at, 'there is no such key', suggestion(key, Object.keys(table)));
    else if (rule !== 'honoured' && 'refused' in rule) problems.error(keyAt, at, rule.refused, rule.hint);
    else if (rule !== 'honoured') problems.warn(keyAt, at, `left out: ${rule.leftOut}`, rule.hint);
  }
}

/** What may have been meant. */
export function suggestion(word: string, known: readonly string[]): string {
  const close = known
    .map((name) => ({ name, distance: distance(word.toLowerCase().replace(/-/g, '_'), name) }))
    .filter(({ name, distance: far }) => far <= Math.max(1, Math.floor(Math.min(name.length, word.length) / 3)))
    .sort((a, b) => a.distance - b.distance)[0];
  if (close !== undefined) return `did you mean ${close.name}?`;
  if (known.length > 12) return 'remove it; keys of your own begin with x-';
  return `known are ${known.toSorted().join(', ')}`;
}

/** Letters to change, insert, leave out, or change places with their neighbour. */
function distance(from: string, to: string): number {
  if (Math.abs(from.length - to.length) > 4) return Number.POSITIVE_INFINITY;
  let last: readonly number[] = [];
  let row: readonly number[] = Array.from({ length: to.length + 1 }, (_, i) => i);
  for (let i = 1; i <= from.length; i++) {
    const next = [i];
    for (let j = 1; j <= to.length; j++) {
      const change = (row[j - 1] ?? 0) + (from[i - 1] === to[j - 1] ? 0 : 1);
      const isSwapped = i > 1 && j > 1 && from[i - 1] === to[j - 2] && from[i - 2] === to[j - 1];
      const swap = isSwapped ? (last[j - 2] ?? 0) + 1 : Number.POSITIVE_INFINITY;
      next.push(Math.min(change, swap, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1));
    }
    last = row;
    row = next;
  }
  return row[to.length] ?? 0;
}
