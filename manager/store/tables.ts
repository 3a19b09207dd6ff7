import {
  Client,
  Cluster,
  Config,
  ConfigVersion,
  Event,
  Network,
  Node,
  Revision,
  Secret,
  SecretVersion,
  Service,
  Stack,
  Task,
  Volume,
} from '#gen/swarm/v1/objects.ts';
import type { TableName, Tables } from './stored-objects.ts';

/** Finds objects by something else than their id. Pure functions of the object; undefined leaves it out. */
export interface TableDefinition<T> {
  /** What people call it; for messages. */
  readonly label: string;
  /** A whole object with defaults. */
  readonly create: (init: Partial<T>) => T;
  /** At most one object has a key; a change that would give it to a second is refused. */
  readonly unique: Readonly<Record<string, (object: T) => string | undefined>>;
  /** Any number of objects have a key. */
  readonly multiple: Readonly<Record<string, (object: T) => string | undefined>>;
}

/**
 * The tables with their indexes. A new kind of object is one line here, one in `stored-objects.ts`, and its message in the
 * contract (the `StoreObject` union names tables).
 */
export const TABLES = {
  cluster: { label: 'cluster', create: Cluster.create, unique: {}, multiple: {} },
  node: {
    label: 'node',
    create: Node.create,
    unique: {},
    multiple: { name: (node) => node.description?.hostname.toLowerCase() || undefined },
  },
  // Names differ in more than case, as in Swarm.
  service: {
    label: 'service',
    create: Service.create,
    unique: { name: (service) => service.spec?.name.toLowerCase() || undefined },
    multiple: {},
  },
  revision: {
    label: 'revision',
    create: Revision.create,
    unique: { number: (revision) => numberKey(revision.serviceId, revision.number) },
    multiple: { service: (revision) => revision.serviceId },
  },
  task: {
    label: 'task',
    create: Task.create,
    unique: { name: (task) => task.oneOff?.name.toLowerCase() || undefined },
    multiple: {
      service: (task) => task.serviceId || undefined,
      slot: (task) => (task.slot === 0 ? undefined : numberKey(task.serviceId, task.slot)),
      node: (task) => task.nodeId || undefined,
      desiredState: (task) => String(task.desiredState),
    },
  },
  network: {
    label: 'network',
    create: Network.create,
    unique: { name: (network) => network.spec?.name.toLowerCase() || undefined },
    multiple: {},
  },
  secret: {
    label: 'secret',
    create: Secret.create,
    unique: { name: (secret) => secret.spec?.name.toLowerCase() || undefined },
    multiple: {},
  },
  secretVersion: {
    label: 'version of a secret',
    create: SecretVersion.create,
    unique: { number: (version) => numberKey(version.secretId, version.number) },
    multiple: { secret: (version) => version.secretId },
  },
  config: {
    label: 'config',
    create: Config.create,
    unique: { name: (config) => config.spec?.name.toLowerCase() || undefined },
    multiple: {},
  },
  configVersion: {
    label: 'version of a config',
    create: ConfigVersion.create,
    unique: { number: (version) => numberKey(version.configId, version.number) },
    multiple: { config: (version) => version.configId },
  },
  // The same name on two nodes is two volumes.
  volume: {
    label: 'volume',
    create: Volume.create,
    unique: { nameOnNode: (volume) => volume.spec && `${volume.nodeId}/${volume.spec.name}` },
    multiple: {
      name: (volume) => volume.spec?.name.toLowerCase() || undefined,
      node: (volume) => volume.nodeId,
    },
  },
  stack: {
    label: 'stack',
    create: Stack.create,
    unique: { name: (stack) => stack.spec?.name.toLowerCase() || undefined },
    multiple: {},
  },
  client: {
    label: 'client',
    create: Client.create,
    unique: { name: (client) => client.name.toLowerCase() || undefined },
    multiple: {},
  },
  event: { label: 'event', create: Event.create, unique: {}, multiple: {} },
} as const satisfies { readonly [Name in TableName]: TableDefinition<Tables[Name]> };

export const TABLE_NAMES = Object.keys(TABLES) as readonly TableName[];

/** The key of the indexes by service and number. The number comes first because it tells neighbours apart sooner. */
export function numberKey(serviceId: string, number: number): string {
  return `${number}/${serviceId}`;
}

export type UniqueIndex<Name extends TableName> = keyof (typeof TABLES)[Name]['unique'] & string;
export type MultipleIndex<Name extends TableName> = keyof (typeof TABLES)[Name]['multiple'] & string;

/** The definition without the names of its indexes, for code that serves all tables alike. */
export function definitionOf<Name extends TableName>(table: Name): TableDefinition<Tables[Name]> {
  return DEFINITIONS[table];
}

const DEFINITIONS: { readonly [Name in TableName]: TableDefinition<Tables[Name]> } = TABLES;

/** An object with the name of its table, as snapshots and the log hold it. */
type ObjectOfTable<Name extends TableName> = {
  readonly [One in Name]: { readonly kind: One; readonly value: Tables[One] };
}[Name];

export function objectOfTable<Name extends TableName>(table: Name, value: Tables[Name]): ObjectOfTable<Name> {
  return { kind: table, value };
}
