/** The tables and what is in them. */
import type {
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

/** Every table with the type of its objects. A new kind of object is one line here and one in `tables.ts`. */
export interface Tables {
  readonly cluster: Cluster;
  readonly node: Node;
  readonly service: Service;
  readonly revision: Revision;
  readonly task: Task;
  readonly network: Network;
  readonly secret: Secret;
  readonly secretVersion: SecretVersion;
  readonly config: Config;
  readonly configVersion: ConfigVersion;
  readonly volume: Volume;
  readonly stack: Stack;
  readonly client: Client;
  readonly event: Event;
}

export type TableName = keyof Tables;
export type StoredObject = Tables[TableName];

/** Tables whose objects have a name: their own, or a node's hostname. */
export type NamedTable = 'client' | 'config' | 'network' | 'node' | 'secret' | 'service' | 'stack' | 'volume';
