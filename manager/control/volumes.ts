/** What may happen to volumes: every operation reads a view, decides, and asks for one transaction. */
import { invalidField, SwarmError } from '#common/errors.ts';
import { LIMITS } from '#common/limits.ts';
import type { Random } from '#common/random.ts';
import { ANONYMOUS_LABEL } from '#common/volume-names.ts';
import { type Node, NodeState, type Volume, VolumeSpec, VolumeState } from '#gen/swarm/v1/objects.ts';
import type {
  CreateVolumeRequest,
  GetVolumeRequest,
  ListVolumesRequest,
  PruneVolumesRequest,
  RemoveVolumeRequest,
  VolumeView,
} from '#gen/swarm/v1/volumes.ts';
import { SERVICES_LEVEL } from '#manager/scheduler/index.ts';
import type { Change, StoreView } from '#manager/store/index.ts';
import {
  removalBegun,
  requestedAgain,
  requestedVolume,
  sameMaking,
  type VolumeUse,
  VolumeUsers,
} from '#manager/volumes/index.ts';
import type { Decision } from './decision.ts';
import { requireServices } from './feature-gates.ts';
import { allLabels, anyContained } from './filters.ts';
import { findNode } from './references.ts';
import { taskName } from './tasks.ts';
import { validateVolumeSpec } from './validate-volume.ts';

/** Enough to know that a prefix is not unique. */
const MATCHES_MAX = 100;
/** Names in a refusal. */
const NAMES_SHOWN = 5;
/** Volumes whose removal is begun in one transaction. */
const PRUNED_AT_ONCE = LIMITS.CHANGES_PER_TRANSACTION;

export function createVolume(
  view: StoreView,
  { spec, node: reference }: CreateVolumeRequest,
  self: string,
  random: Random,
): Decision<Volume> {
  requireServices(view, 'volume');
  if (spec === undefined) throw invalidField('spec', 'the request has no spec');
  validateVolumeSpec(spec);
  const node = findNode(view, reference === '' ? 'self' : reference, self);
  const known = view.find('volume', 'nameOnNode', `${node.id}/${spec.name}`);
  if (known !== undefined) return existing(known, spec, node);
  refuseUnreachable(node);
  if ([...view.members('volume', 'node', node.id)].length >= LIMITS.VOLUMES_PER_NODE)
    throw new SwarmError({
      code: 'exhausted',
      reason: 'too-many',
      limit: 'VOLUMES_PER_NODE',
      message: `node ${hostnameOf(node)} has ${LIMITS.VOLUMES_PER_NODE} volumes, the limit (VOLUMES_PER_NODE)`,
      hint: 'remove some that nothing uses: swarm volume prune --all',
    });
  const volume = requestedVolume(VolumeSpec.create(spec), node.id, random);
  return { result: volume, changes: [{ kind: 'create', table: 'volume', object: volume }] };
}

/** As in Docker, asking twice for the same volume is no error. */
function existing(volume: Volume, spec: VolumeSpec, node: Node): Decision<Volume> {
  if (volume.spec !== undefined && !sameMaking(volume.spec, spec))
    throw new SwarmError({
      code: 'exists',
      reason: 'duplicate-name',
      field: 'name',
      message: `volume ${spec.name} already exists on node ${hostnameOf(node)} with another driver or other options`,
      hint: 'choose another name, or remove it: swarm volume rm',
    });
  if (volume.pendingDelete)
    throw new SwarmError({
      code: 'precondition',
      reason: 'in-use',
      field: 'name',
      message: `volume ${spec.name} is being removed from node ${hostnameOf(node)}`,
      hint: 'try again in a moment',
    });
  if (volume.state !== VolumeState.FAILED) return { result: volume, changes: [] };
  refuseUnreachable(node);
  const object = requestedAgain({ ...volume, spec: VolumeSpec.create(spec) });
  return { result: object, changes: [{ kind: 'update', table: 'volume', object }] };
}

function refuseUnreachable(node: Node): void {
  if ((node.description?.featureLevel ?? 0) < SERVICES_LEVEL)
    throw new SwarmError({
      code: 'precondition',
      reason: 'feature-level',
      field: 'node',
      message: `node ${hostnameOf(node)} runs an older release, which makes volumes for tasks only`,
      hint: 'upgrade it, then repeat the command',
    });
  if (!isReady(node)) throw nodeAway(node, 'volumes are made by their node');
}

function isReady({ status }: Node): boolean {
  return status?.state === NodeState.READY;
}

function nodeAway(node: Node, why: string, hint = 'repeat the command when it is back'): SwarmError {
  return new SwarmError({
    code: 'precondition',
    reason: 'not-supported',
    field: 'node',
    message: `node ${hostnameOf(node)} does not answer, and ${why}`,
    hint,
  });
}

/** Volumes that a reference means: one by its id, or all of a name; on one node when one is named. */
export function findVolumes(view: StoreView, { reference, node }: GetVolumeRequest, self: string): readonly Volume[] {
  if (reference === '') throw invalidField('volume', 'no volume was named', 'give a name or an id');
  const nodeId = node === '' ? undefined : findNode(view, node, self).id;
  const exact = view.get('volume', reference);
  const named =
    exact === undefined
      ? [...view.members('volume', 'name', reference.toLowerCase())].filter(({ spec }) => spec?.name === reference)
      : [exact];
  const found = named.length > 0 ? named : view.byIdPrefix('volume', reference, MATCHES_MAX);
  if (named.length === 0 && found.length > 1)
    throw new SwarmError({
      code: 'precondition',
      reason: 'ambiguous-prefix',
      message: `volume ${reference} is ambiguous (${found.length} matches found)`,
      hint: 'give more of the id',
    });
  const there = found.filter((volume) => nodeId === undefined || volume.nodeId === nodeId);
  if (there.length > 0) return there.toSorted((a, b) => (a.nodeId < b.nodeId ? -1 : 1));
  throw new SwarmError({
    code: 'not-found',
    reason: 'unknown-object',
    message: `get ${reference}: no such volume${node === '' ? '' : ` on node ${node}`}`,
    hint: 'see `swarm volume ls`',
  });
}

export function volumeView(view: StoreView, users: VolumeUsers, volume: Volume): VolumeView {
  const { tasks, services } = users.of(volume);
  const node = view.get('node', volume.nodeId);
  return {
    volume,
    nodeHostname: node === undefined ? '' : hostnameOf(node),
    taskIds: tasks.map(({ id }) => id),
    services: services.map(({ spec }) => spec?.name ?? ''),
  };
}

export function volumesMatching(view: StoreView, request: ListVolumesRequest, self: string): readonly VolumeView[] {
  const nodeIds = new Set(request.nodes.map((reference) => findNode(view, reference, self).id));
  const users = new VolumeUsers(view);
  return [...view.all('volume')]
    .filter(
      (volume) =>
        anyContained(request.names, volume.spec?.name ?? '') &&
        allLabels(request.labels, volume.spec?.labels ?? {}) &&
        (request.drivers.length === 0 || request.drivers.includes(volume.spec?.driver || 'local')) &&
        (nodeIds.size === 0 || nodeIds.has(volume.nodeId)) &&
        (request.dangling === undefined || users.isUsed(volume) !== request.dangling),
    )
    .map((volume) => volumeView(view, users, volume));
}

export function removeVolume(view: StoreView, request: RemoveVolumeRequest, self: string): Decision<Volume> {
  const [volume, ...more] = findVolumes(view, request, self);
  if (volume === undefined || more.length > 0)
    throw new SwarmError({
      code: 'precondition',
      reason: 'ambiguous-prefix',
      field: 'node',
      message: `${more.length + 1} nodes have a volume ${request.reference}`,
      hint: 'name the node: swarm volume rm --node NODE, or --node all',
    });
  const node = view.get('node', volume.nodeId);
  const users = new VolumeUsers(view);
  refuseUsed(view, volume, users.of(volume));
  if (node === undefined || !isReady(node)) {
    if (request.force) return { result: volume, changes: [{ kind: 'remove', table: 'volume', object: volume }] };
    const away = 'its volumes can only be removed there';
    if (node !== undefined) throw nodeAway(node, away, 'repeat the command when it is back, or forget it with --force');
  }
  const claim = users.claims(volume)[0];
  if (claim !== undefined && !request.force) throw claimed(view, volume, claim);
  const object = removalBegun(volume);
  return { result: object, changes: volume.pendingDelete ? [] : [update(object)] };
}

function refuseUsed(view: StoreView, { spec }: Volume, { tasks }: VolumeUse): void {
  if (tasks.length === 0) return;
  const names = tasks.slice(0, NAMES_SHOWN).map((task) => taskName(view, task));
  const others = tasks.length > NAMES_SHOWN ? ` and ${tasks.length - NAMES_SHOWN} more` : '';
  throw new SwarmError({
    code: 'precondition',
    reason: 'in-use',
    message: `remove ${spec?.name}: volume is in use - [${names.join(', ')}]${others}`,
    hint: 'remove the service or the container first, or scale it down',
  });
}

function claimed(view: StoreView, { spec }: Volume, { serviceId, slot }: Volume['claims'][number]): SwarmError {
  const name = view.get('service', serviceId)?.spec?.name ?? serviceId;
  return new SwarmError({
    code: 'precondition',
    reason: 'needs-force',
    message: `volume ${spec?.name} has the data of ${name}.${slot}, which returns to it`,
    hint: `remove the service ${name} first, or give the data up with --force`,
  });
}

export function pruneVolumes(view: StoreView, request: PruneVolumesRequest, self: string): Decision<readonly Volume[]> {
  const nodeIds = new Set(request.nodes.map((reference) => findNode(view, reference, self).id));
  const users = new VolumeUsers(view);
  const pruned = [...view.all('volume')]
    .filter((volume) => {
      const node = view.get('node', volume.nodeId);
      return (
        !volume.pendingDelete &&
        node !== undefined &&
        isReady(node) &&
        (request.all || Object.hasOwn(volume.spec?.labels ?? {}, ANONYMOUS_LABEL)) &&
        allLabels(request.labels, volume.spec?.labels ?? {}) &&
        !request.withoutLabels.some((label) => allLabels([label], volume.spec?.labels ?? {})) &&
        (nodeIds.size === 0 || nodeIds.has(volume.nodeId)) &&
        !users.isUsed(volume)
      );
    })
    .slice(0, PRUNED_AT_ONCE)
    .map(removalBegun);
  return { result: pruned, changes: pruned.map(update) };
}

function update(object: Volume): Change {
  return { kind: 'update', table: 'volume', object };
}

function hostnameOf(node: Node): string {
  return node.description?.hostname || node.id;
}
