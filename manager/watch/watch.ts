/** The store's changes for readers outside, from a version on and without a gap. */
import { SwarmError } from '#common/errors.ts';
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
import { StoreActionKind, type StoreObject } from '#gen/swarm/v1/store.ts';
import {
  ObjectKind,
  type WatchEvent,
  WatchEvents,
  type WatchRequest,
  type WatchResponse,
  type WatchSelector,
} from '#gen/swarm/v1/watch.ts';
import type { CommitEvents, StoredObject, StoreEvent, TableName } from '#manager/store/index.ts';

/** Changes from a version on; ends with an error when the reader is too slow or the version too old. */
export interface WatchSource {
  watch(
    afterVersion: number,
    signal: AbortSignal,
  ): { readonly version: number; readonly commits: AsyncIterable<CommitEvents> };
}

/** What a reader may see of an object: no keys, no credentials. */
export interface Redactor {
  cluster(object: Cluster): Cluster;
  node(object: Node): Node;
  service(object: Service): Service;
  revision(object: Revision): Revision;
  task(object: Task): Task;
  secretVersion(object: SecretVersion): SecretVersion;
}

const KINDS: Readonly<Record<TableName, ObjectKind>> = {
  cluster: ObjectKind.CLUSTER,
  node: ObjectKind.NODE,
  service: ObjectKind.SERVICE,
  revision: ObjectKind.REVISION,
  task: ObjectKind.TASK,
  network: ObjectKind.NETWORK,
  secret: ObjectKind.SECRET,
  secretVersion: ObjectKind.SECRET_VERSION,
  config: ObjectKind.CONFIG,
  configVersion: ObjectKind.CONFIG_VERSION,
  volume: ObjectKind.VOLUME,
  stack: ObjectKind.STACK,
  client: ObjectKind.CLIENT,
  event: ObjectKind.EVENT,
};

const ACTIONS: Readonly<Record<StoreEvent['kind'], StoreActionKind>> = {
  create: StoreActionKind.CREATE,
  update: StoreActionKind.UPDATE,
  remove: StoreActionKind.REMOVE,
};

export async function* watchStore(
  source: WatchSource,
  redactor: Redactor,
  request: WatchRequest,
  signal: AbortSignal,
): AsyncGenerator<WatchResponse> {
  for (const selector of request.selectors)
    if (selector.kind === ObjectKind.UNSPECIFIED)
      throw new SwarmError({
        code: 'invalid',
        reason: 'bad-field',
        field: 'selectors.kind',
        message: 'a selector names no kind of object',
        hint: 'leave the selectors out to watch everything',
      });
  const { version, commits } = source.watch(request.resumeAfter, signal);
  yield { message: { kind: 'started', value: { version } } };
  for await (const commit of commits) {
    const events = commit.events
      .filter((event) => selected(event, request.selectors))
      .map((event) => publicEvent(event, request.includeOld, redactor));
    if (events.length === 0) continue;
    yield { message: { kind: 'events', value: WatchEvents.create({ version: commit.version, events }) } };
  }
}

function selected(event: StoreEvent, selectors: readonly WatchSelector[]): boolean {
  return selectors.length === 0 || selectors.some((selector) => matches(event, selector));
}

function matches(event: StoreEvent, selector: WatchSelector): boolean {
  if (selector.kind !== KINDS[event.table]) return false;
  if (selector.ids.length > 0 && !selector.ids.includes(event.object.id)) return false;
  const ofService = event.table === 'task' || event.table === 'revision' ? event.object.serviceId : undefined;
  if (selector.serviceIds.length > 0 && (ofService === undefined || !selector.serviceIds.includes(ofService)))
    return false;
  const onNode = event.table === 'task' ? event.object.nodeId : undefined;
  return selector.nodeIds.length === 0 || (onNode !== undefined && selector.nodeIds.includes(onNode));
}

function publicEvent(event: StoreEvent, includeOld: boolean, redactor: Redactor): WatchEvent {
  return {
    kind: ACTIONS[event.kind],
    object: storeObject(event.table, event.object, redactor),
    oldObject: includeOld && event.old !== undefined ? storeObject(event.table, event.old, redactor) : undefined,
  };
}

function storeObject(table: TableName, object: StoredObject, redactor: Redactor): StoreObject {
  switch (table) {
    case 'cluster':
      return { object: { kind: 'cluster', value: redactor.cluster(object as Cluster) } };
    case 'node':
      return { object: { kind: 'node', value: redactor.node(object as Node) } };
    case 'service':
      return { object: { kind: 'service', value: redactor.service(object as Service) } };
    case 'revision':
      return { object: { kind: 'revision', value: redactor.revision(object as Revision) } };
    case 'task':
      return { object: { kind: 'task', value: redactor.task(object as Task) } };
    case 'network':
      return { object: { kind: 'network', value: object as Network } };
    case 'secret':
      return { object: { kind: 'secret', value: object as Secret } };
    case 'secretVersion':
      return { object: { kind: 'secretVersion', value: redactor.secretVersion(object as SecretVersion) } };
    case 'config':
      return { object: { kind: 'config', value: object as Config } };
    case 'configVersion':
      return { object: { kind: 'configVersion', value: object as ConfigVersion } };
    case 'volume':
      return { object: { kind: 'volume', value: object as Volume } };
    case 'stack':
      return { object: { kind: 'stack', value: object as Stack } };
    case 'client':
      return { object: { kind: 'client', value: object as Client } };
    case 'event':
      return { object: { kind: 'event', value: object as Event } };
  }
}
