/** Which secrets and configs specs refer to. Pure. */
import { type Service, type Task, TaskState, UpdateState } from '#gen/swarm/v1/objects.ts';
import type { ServiceSpec } from '#gen/swarm/v1/specs.ts';
import type { StoreView } from '#manager/store/index.ts';
import { newestNumber, PAYLOAD_KINDS, type Payload, type PayloadKind, type PayloadReference } from './payload-kind.ts';

export interface KindReference {
  readonly kind: PayloadKind;
  readonly reference: PayloadReference;
}

/** Secrets first, each in the order of the spec. */
export function payloadReferences(spec: ServiceSpec | undefined): readonly KindReference[] {
  const container = spec?.task?.container;
  if (container === undefined || (container.secrets.length === 0 && container.configs.length === 0)) return [];
  return PAYLOAD_KINDS.flatMap((kind) =>
    kind.referencesIn(container).map((reference): KindReference => ({ kind, reference })),
  );
}

/** The spec with every reference as `change` makes it. */
export function mapPayloadReferences(
  spec: ServiceSpec,
  change: (kind: PayloadKind, reference: PayloadReference) => PayloadReference,
): ServiceSpec {
  if (spec.task?.container === undefined || payloadReferences(spec).length === 0) return spec;
  const container = PAYLOAD_KINDS.reduce(
    (changed, kind) =>
      kind.withReferences(
        changed,
        kind.referencesIn(changed).map((reference) => change(kind, reference)),
      ),
    spec.task.container,
  );
  return { ...spec, task: { ...spec.task, container } };
}

/** Tells payloads of both kinds apart. */
export function payloadKey(kind: PayloadKind, id: string): string {
  return `${kind.word}/${id}`;
}

/** Who has a secret or config now. */
export interface PayloadUse {
  readonly service: Service;
  /** Versions that its present spec or its live tasks have, in order. */
  readonly numbers: readonly number[];
  readonly follows: boolean;
}

/** Services whose spec, or whose live tasks, have the payload, and those that may be rolled back to it; by name. */
export function usesOf(view: StoreView, kind: PayloadKind, payloadId: string): readonly PayloadUse[] {
  const uses: PayloadUse[] = [];
  for (const service of view.all('service')) {
    const present = referencesTo(service.pendingDelete ? undefined : service.spec, kind, payloadId);
    const numbers = new Set(present.map(({ number }) => number));
    for (const revision of view.revisionsOfService(service.id)) {
      const references = referencesTo(revision.spec, kind, payloadId);
      if (references.length > 0 && (isMoving(service) || hasLiveTask(view, service.id, revision.number)))
        for (const { number } of references) numbers.add(number);
    }
    if (numbers.size === 0) continue;
    const follows = present.some(({ follow }) => follow);
    uses.push({ service, numbers: [...numbers].sort((a, b) => a - b), follows });
  }
  return uses.sort((a, b) => ((a.service.spec?.name ?? '') < (b.service.spec?.name ?? '') ? -1 : 1));
}

/** Versions that a kept revision refers to, by payload. */
export function numbersInRevisions(view: StoreView, kind: PayloadKind): ReadonlyMap<string, ReadonlySet<number>> {
  const numbers = new Map<string, Set<number>>();
  for (const { spec } of view.all('revision'))
    for (const { id, number } of kind.referencesIn(spec?.task?.container)) {
      const known = numbers.get(id);
      if (known === undefined) numbers.set(id, new Set([number]));
      else known.add(number);
    }
  return numbers;
}

function referencesTo(
  spec: ServiceSpec | undefined,
  kind: PayloadKind,
  payloadId: string,
): readonly PayloadReference[] {
  return kind.referencesIn(spec?.task?.container).filter(({ id }) => id === payloadId);
}

function hasLiveTask(view: StoreView, serviceId: string, revision: number): boolean {
  for (const task of view.tasksOfService(serviceId)) if (task.revision === revision && hasPayloads(task)) return true;
  return false;
}

const MOVING: ReadonlySet<UpdateState> = new Set([
  UpdateState.UPDATING,
  UpdateState.PAUSED,
  UpdateState.ROLLBACK_STARTED,
  UpdateState.ROLLBACK_PAUSED,
]);

/** An update that is under way may end in an earlier revision. */
function isMoving({ updateStatus }: Service): boolean {
  return updateStatus !== undefined && MOVING.has(updateStatus.state);
}

/** Whether the task may run, or does: what has ended needs its secrets no more. */
export function hasPayloads(task: Task): boolean {
  return (task.status?.state ?? TaskState.NEW) <= TaskState.RUNNING;
}

/** A job that runs when it is updated would run anew for a new password; it takes the newest version at its next update. */
function mayFollow({ mode, job }: ServiceSpec): boolean {
  const isJob = mode?.kind === 'replicatedJob' || mode?.kind === 'globalJob';
  return !isJob || job?.schedule !== undefined;
}

/** Whether a new version of a payload that it refers to makes a new revision of the service. */
export function follows(service: Service, kind: PayloadKind, payloadId: string): boolean {
  const { spec } = service;
  if (spec === undefined || service.pendingDelete || !mayFollow(spec)) return false;
  return referencesTo(spec, kind, payloadId).some(({ follow }) => follow);
}

/** Whether services are being led to a newer version. */
export function isLeading(payload: Payload): boolean {
  return payload.followedNumber < newestNumber(payload);
}

/**
 * The service's spec with the newest version of all that it follows and that others are being led to; undefined when it
 * has them already.
 */
export function followedSpec(view: StoreView, service: Service): ServiceSpec | undefined {
  const { spec } = service;
  if (spec === undefined || service.pendingDelete || !mayFollow(spec)) return undefined;
  const wanted = (kind: PayloadKind, { id, number, follow }: PayloadReference): number => {
    const payload = follow ? kind.get(view, id) : undefined;
    return payload !== undefined && isLeading(payload) ? Math.max(number, newestNumber(payload)) : number;
  };
  const isBehind = payloadReferences(spec).some(({ kind, reference }) => wanted(kind, reference) > reference.number);
  if (!isBehind) return undefined;
  return mapPayloadReferences(spec, (kind, reference) => ({ ...reference, number: wanted(kind, reference) }));
}
