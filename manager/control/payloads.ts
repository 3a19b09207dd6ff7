/** What may happen to secrets and configs: every operation reads a view, decides, and asks for one transaction. */
import { invalidField, SwarmError } from '#common/errors.ts';
import { newId } from '#common/ids.ts';
import { LIMITS, type LimitName } from '#common/limits.ts';
import type { Random } from '#common/random.ts';
import { sameBytes } from '#common/same-bytes.ts';
import { PayloadVersion, Secret } from '#gen/swarm/v1/objects.ts';
import {
  CONFIGS,
  follows,
  newestNumber,
  numbersInRevisions,
  type Payload,
  type PayloadKind,
  SECRETS,
  usesOf,
} from '#manager/payloads/index.ts';
import type { Change, StoreView } from '#manager/store/index.ts';
import type { Decision } from './decision.ts';
import { requireServices } from './feature-gates.ts';
import { allLabels } from './filters.ts';
import { findPayload } from './references.ts';
import { type PayloadSpec, validatePayloadData, validatePayloadSpec } from './validate-payload.ts';

/** Who writes, and when. */
export interface PayloadWriter {
  readonly author: string;
  readonly random: Random;
  readonly nowMs: number;
}

const COUNT_LIMITS = { secret: 'SECRETS_PER_CLUSTER', config: 'CONFIGS_PER_CLUSTER' } as const;

export function createPayload(
  view: StoreView,
  kind: PayloadKind,
  request: { readonly spec: PayloadSpec | undefined; readonly data: Uint8Array },
  { author, random, nowMs }: PayloadWriter,
): Decision<Payload> {
  requireServices(view, kind.word);
  const { spec, data } = request;
  if (spec === undefined) throw invalidField('spec', 'the request has no spec', 'send the whole spec');
  validatePayloadSpec(kind, spec);
  validatePayloadData(kind, data, spec.templateDriver);
  if (kind.named(view, spec.name) !== undefined)
    throw new SwarmError({
      code: 'exists',
      reason: 'duplicate-name',
      field: 'name',
      message: `${kind.word} ${spec.name} already exists`,
      hint: `choose another name, or make a new version of it: swarm ${kind.word} update ${spec.name} FILE`,
    });
  const limit = COUNT_LIMITS[kind.word];
  if (kind.count(view) >= LIMITS[limit])
    throw full(limit, `the swarm has ${LIMITS[limit]} ${kind.word}s`, `swarm ${kind.word} prune`);
  refuseTooMuch(view, data.length);
  const version = PayloadVersion.create({ number: 1, createdAtMs: nowMs, createdBy: author, sizeBytes: data.length });
  // Secrets and configs have the same fields.
  const payload = Secret.create({ id: newId(random), spec, versions: [version], followedNumber: 1 });
  const { templateDriver } = spec;
  const held = kind.createVersion({ id: newId(random), payloadId: payload.id, number: 1, data, templateDriver });
  return { result: payload, changes: [kind.change('create', payload), held] };
}

export interface PayloadUpdate {
  readonly id: string;
  /** The one that was read. */
  readonly version: number;
  /** Undefined: as it is. */
  readonly spec: PayloadSpec | undefined;
  /** Undefined: no new version. */
  readonly data: Uint8Array | undefined;
}

/** The payload afterwards, and the services that are led to the new version, by name. */
export interface PayloadUpdated {
  readonly payload: Payload;
  readonly following: readonly string[];
}

/** Labels may change, and what it holds becomes a new version unless the newest one holds the same. */
export function updatePayload(
  view: StoreView,
  kind: PayloadKind,
  request: PayloadUpdate,
  writer: PayloadWriter,
): Decision<PayloadUpdated> {
  requireServices(view, kind.word);
  const current = kind.get(view, request.id);
  if (current?.spec === undefined)
    throw new SwarmError({
      code: 'not-found',
      reason: 'unknown-object',
      message: `${kind.word} ${request.id} not found`,
      hint: `see \`swarm ${kind.word} ls\``,
    });
  if (current.version !== request.version)
    throw new SwarmError({
      code: 'conflict',
      reason: 'out-of-sequence',
      message: `update out of sequence: the ${kind.word} is at version ${current.version}, the request was made from ${request.version}`,
      hint: 'read it again and repeat the change',
    });
  const spec = request.spec ?? current.spec;
  validatePayloadSpec(kind, spec);
  refuseRenaming(kind, current.spec, spec);
  const { data } = request;
  const newest = kind.version(view, current.id, newestNumber(current));
  const isNew = data !== undefined && (newest === undefined || !holdsSame(newest, data, spec));
  if (!isNew) {
    const payload = { ...current, spec };
    return { result: { payload, following: [] }, changes: [kind.change('update', payload)] };
  }
  return withVersion(view, kind, { ...current, spec }, data, writer);
}

function holdsSame(
  newest: { readonly data: Uint8Array; readonly templateDriver: string },
  data: Uint8Array,
  { templateDriver }: PayloadSpec,
): boolean {
  return newest.templateDriver === templateDriver && sameBytes(newest.data, data);
}

function withVersion(
  view: StoreView,
  kind: PayloadKind,
  current: Payload & { readonly spec: PayloadSpec },
  data: Uint8Array,
  { author, random, nowMs }: PayloadWriter,
): Decision<PayloadUpdated> {
  const { templateDriver, name } = current.spec;
  validatePayloadData(kind, data, templateDriver);
  if (current.versions.length >= LIMITS.VERSIONS_PER_PAYLOAD)
    throw full(
      'VERSIONS_PER_PAYLOAD',
      `${kind.word} ${name} has ${current.versions.length} versions that services refer to`,
      `swarm ${kind.word} inspect ${name}, and let the services use newer ones`,
    );
  refuseTooMuch(view, data.length);
  const number = newestNumber(current) + 1;
  const version = PayloadVersion.create({ number, createdAtMs: nowMs, createdBy: author, sizeBytes: data.length });
  const payload = { ...current, versions: [...current.versions, version] };
  const following = [...view.all('service')]
    .filter((service) => follows(service, kind, current.id))
    .map(({ id, spec }) => spec?.name ?? id)
    .sort();
  const held = kind.createVersion({ id: newId(random), payloadId: payload.id, number, data, templateDriver });
  return { result: { payload, following }, changes: [kind.change('update', payload), held] };
}

/** With all its versions. */
export function removePayload(view: StoreView, kind: PayloadKind, reference: string): Decision<Payload> {
  const payload = findPayload(view, kind, reference);
  const users = usesOf(view, kind, payload.id).map(({ service }) => service.spec?.name ?? service.id);
  if (users.length > 0) {
    const name = payload.spec?.name ?? payload.id;
    throw new SwarmError({
      code: 'precondition',
      reason: 'in-use',
      field: 'reference',
      message: `${kind.word} '${name}' is in use by the following service${users.length > 1 ? 's' : ''}: ${someOf(users)}`,
      hint: `take it from them first: swarm service update --${kind.word}-rm ${name} SERVICE`,
    });
  }
  return { result: payload, changes: removal(view, kind, payload) };
}

function removal(view: StoreView, kind: PayloadKind, payload: Payload): readonly Change[] {
  const held = payload.versions.flatMap(({ number }) => kind.removeVersion(view, payload.id, number) ?? []);
  return [...held, kind.change('remove', payload)];
}

export interface Pruned {
  /** Names of whole secrets or configs. */
  readonly removed: readonly string[];
  readonly removedVersions: number;
  /** There is more to remove than fits a transaction. */
  readonly more: boolean;
}

export interface PruneRequest {
  readonly labels: readonly string[];
  /** Undefined: versions stay. */
  readonly keepVersions: number | undefined;
}

/** Removes what no service and no kept revision refers to, as much of it as fits a transaction. */
export function prunePayloads(view: StoreView, kind: PayloadKind, request: PruneRequest): Decision<Pruned> {
  const { labels, keepVersions } = request;
  const used = numbersInRevisions(view, kind);
  const removed: string[] = [];
  const changes: Change[] = [];
  let removedVersions = 0;
  for (const payload of kind.all(view)) {
    if (!allLabels(labels, payload.spec?.labels ?? {})) continue;
    const numbers = used.get(payload.id);
    const group =
      numbers === undefined ? removal(view, kind, payload) : oldVersions(view, kind, payload, numbers, keepVersions);
    if (group.length === 0) continue;
    if (changes.length + group.length > LIMITS.CHANGES_PER_TRANSACTION)
      return { result: { removed, removedVersions, more: true }, changes };
    for (const change of group) changes.push(change);
    if (numbers === undefined) removed.push(payload.spec?.name ?? payload.id);
    else removedVersions += group.length - 1;
  }
  return { result: { removed: removed.sort(), removedVersions, more: false }, changes };
}

/** The newest `keep` versions stay, at least one, and those that revisions refer to. */
function oldVersions(
  view: StoreView,
  kind: PayloadKind,
  payload: Payload,
  used: ReadonlySet<number>,
  keep: number | undefined,
): readonly Change[] {
  if (keep === undefined) return [];
  const old = new Set(payload.versions.slice(0, -Math.max(1, keep)).map(({ number }) => number));
  const versions = payload.versions.filter(({ number }) => !old.has(number) || used.has(number));
  if (versions.length === payload.versions.length) return [];
  const gone = payload.versions.filter((version) => !versions.includes(version));
  const held = gone.flatMap(({ number }) => kind.removeVersion(view, payload.id, number) ?? []);
  return [kind.change('update', { ...payload, versions }), ...held];
}

function refuseRenaming(kind: PayloadKind, before: PayloadSpec, after: PayloadSpec): void {
  if (before.name === after.name) return;
  throw new SwarmError({
    code: 'unimplemented',
    reason: 'not-supported',
    field: 'name',
    message: `name: a ${kind.word} cannot be renamed (${before.name} to ${after.name})`,
    hint: `create one with the new name: swarm ${kind.word} create ${after.name} FILE`,
  });
}

function refuseTooMuch(view: StoreView, added: number): void {
  let total = added;
  for (const kind of [SECRETS, CONFIGS])
    for (const { versions } of kind.all(view)) for (const { sizeBytes } of versions) total += sizeBytes;
  if (total > LIMITS.PAYLOADS_TOTAL_BYTES)
    throw full(
      'PAYLOADS_TOTAL_BYTES',
      `all secrets and configs together would be ${total} bytes`,
      'swarm secret prune --keep-versions 1, swarm config prune --keep-versions 1',
    );
}

function full(limit: LimitName, what: string, wayOut: string): SwarmError {
  return new SwarmError({
    code: 'exhausted',
    reason: 'too-many',
    limit,
    message: `${what}, the limit is ${LIMITS[limit]} (${limit})`,
    hint: `remove what is not needed: ${wayOut}`,
  });
}

const NAMES_SHOWN = 10;

function someOf(names: readonly string[]): string {
  const shown = names.slice(0, NAMES_SHOWN).join(', ');
  return names.length > NAMES_SHOWN ? `${shown} and ${names.length - NAMES_SHOWN} more` : shown;
}
