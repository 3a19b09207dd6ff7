/**
 * Takes away what leaves a stack: services first, then, when their tasks are gone, networks, secrets and configs that
 * nobody uses, volumes where that was asked for, and in the end the stack that is removed. What it waits for stands in
 * the stack.
 */
import { earliest } from '#common/earliest.ts';
import { LIMITS } from '#common/limits.ts';
import { type Stack, StackLeftovers, StackState } from '#gen/swarm/v1/objects.ts';
import { attachmentsOf } from '#manager/allocator/index.ts';
import { CONFIGS, type Payload, type PayloadKind, SECRETS, usesOf } from '#manager/payloads/index.ts';
import type { Change, ChangeGroup, Loop, Plan, StoreEvent, StoreView, TableName } from '#manager/store/index.ts';
import { removalBegun } from '#manager/volumes/index.ts';
import type { OrchestratorConfig } from '../config.ts';
import { hasEnded, isLost } from '../task-facts.ts';

/** Tables that removal waits for. What happens to nodes and tasks shows in services and volumes. */
const WATCHED: ReadonlySet<TableName> = new Set(['service', 'network', 'secret', 'config', 'volume', 'task', 'node']);

export class StackLoop implements Loop {
  readonly name = 'stacks';
  readonly #config: OrchestratorConfig;
  /** Stacks that something leaves. */
  readonly #active = new Set<string>();
  /** Those to be looked at. They leave when a look finds nothing to change. */
  readonly #due = new Set<string>();
  /** When a stack is to be looked at though nothing happens. */
  readonly #wakeAtMs = new Map<string, number>();

  constructor(config: OrchestratorConfig) {
    this.#config = config;
  }

  restore(view: StoreView): void {
    this.#active.clear();
    this.#due.clear();
    this.#wakeAtMs.clear();
    for (const stack of view.all('stack')) this.#set(stack);
  }

  observe(event: StoreEvent): void {
    if (event.table === 'stack') {
      this.#active.delete(event.object.id);
      this.#due.delete(event.object.id);
      this.#wakeAtMs.delete(event.object.id);
      if (event.kind !== 'remove') this.#set(event.object);
    } else if (this.#active.size > 0 && WATCHED.has(event.table) && isOfConcern(event))
      for (const id of this.#active) this.#due.add(id);
  }

  plan(view: StoreView, nowMs: number): Plan {
    for (const [id, atMs] of this.#wakeAtMs) if (atMs <= nowMs) this.#due.add(id);
    const changes: ChangeGroup[] = [];
    for (const id of this.#due) {
      if (changes.length >= this.#config.groupsPerSlice) return { changes, wakeAtMs: undefined, more: true };
      const stack = view.get('stack', id);
      const leaving = stack === undefined ? undefined : new Leaving(view, stack, nowMs, this.#config.volumeRetryMs);
      const groups = leaving?.next() ?? [];
      if (groups.length === 0) this.#due.delete(id);
      if (leaving?.wakeAtMs === undefined) this.#wakeAtMs.delete(id);
      else this.#wakeAtMs.set(id, leaving.wakeAtMs);
      for (const group of groups) changes.push(group);
    }
    return { changes, wakeAtMs: earliest(...this.#wakeAtMs.values()) };
  }

  #set(stack: Stack): void {
    if (stack.state !== StackState.REMOVING && stack.leaving === undefined) return;
    this.#active.add(stack.id);
    this.#due.add(stack.id);
  }
}

/** Of tasks only their end counts: it is what networks wait for. */
function isOfConcern(event: StoreEvent): boolean {
  return event.table !== 'task' || event.kind === 'remove' || (event.kind === 'update' && hasEnded(event.object));
}

type Ids = Pick<StackLeftovers, 'serviceIds' | 'networkIds' | 'secretIds' | 'configIds'>;

const NOTHING: Ids = { serviceIds: [], networkIds: [], secretIds: [], configIds: [] };

/** One look at what leaves one stack. */
class Leaving {
  readonly #view: StoreView;
  readonly #stack: Stack;
  readonly #isRemoving: boolean;
  readonly #nowMs: number;
  readonly #volumeRetryMs: number;
  /** When a node that has refused is to be asked again. */
  wakeAtMs: number | undefined;

  constructor(view: StoreView, stack: Stack, nowMs: number, volumeRetryMs: number) {
    this.#nowMs = nowMs;
    this.#volumeRetryMs = volumeRetryMs;
    this.#view = view;
    this.#stack = stack;
    this.#isRemoving = stack.state === StackState.REMOVING;
  }

  /** What is to be done now; nothing while all that is left has to be waited for. */
  next(): readonly ChangeGroup[] {
    const ids = this.#ids();
    const services = ids.serviceIds.flatMap((id) => this.#view.get('service', id) ?? []);
    const unmarked = services.filter(({ pendingDelete }) => !pendingDelete);
    if (unmarked.length > 0)
      return unmarked.map((service) => [
        { kind: 'update', table: 'service', object: { ...service, pendingDelete: true } },
      ]);
    if (this.#isRemoving && services.length > 0)
      return this.#wait(`${services.length} of its services to be gone: ${someOf(services)}`);
    const removals: ChangeGroup[] = [];
    const waits: string[] = [];
    for (const id of ids.networkIds) this.#network(id, removals, waits);
    for (const id of ids.secretIds) this.#payload(SECRETS, id, removals, waits);
    for (const id of ids.configIds) this.#payload(CONFIGS, id, removals, waits);
    const volumes = this.#isRemoving && this.#stack.removeVolumes ? this.#volumes(removals) : [];
    if (removals.length > 0) return removals;
    if (volumes.length > 0) waits.push(`volume ${volumes.join(', ')} to be removed by its node`);
    const [wait] = waits;
    if (wait !== undefined) return this.#wait(wait);
    if (this.#isRemoving) return [[{ kind: 'remove', table: 'stack', object: this.#stack }]];
    if (services.length > 0) return this.#wait(`service ${someOf(services)} to be gone`);
    return [[{ kind: 'update', table: 'stack', object: { ...this.#stack, leaving: undefined, message: '' } }]];
  }

  #ids(): Ids {
    const leaving = this.#stack.leaving ?? NOTHING;
    if (!this.#isRemoving) return leaving;
    const { serviceIds, networkIds, secretIds, configIds } = this.#stack;
    return {
      serviceIds: [...serviceIds, ...leaving.serviceIds],
      networkIds: [...networkIds, ...leaving.networkIds],
      secretIds: [...secretIds, ...leaving.secretIds],
      configIds: [...configIds, ...leaving.configIds],
    };
  }

  #wait(reason: string): readonly ChangeGroup[] {
    if (this.#stack.message === reason) return [];
    return [[{ kind: 'update', table: 'stack', object: { ...this.#stack, message: reason } }]];
  }

  #network(id: string, removals: ChangeGroup[], waits: string[]): void {
    const network = this.#view.get('network', id);
    if (network === undefined) return;
    const user = networkUser(this.#view, id);
    if (user === undefined) removals.push([{ kind: 'remove', table: 'network', object: network }]);
    else waits.push(`network ${network.spec?.name ?? id}, which is in use by ${user}`);
  }

  #payload(kind: PayloadKind, id: string, removals: ChangeGroup[], waits: string[]): void {
    const payload = kind.get(this.#view, id);
    if (payload === undefined) return;
    const [use] = usesOf(this.#view, kind, id);
    if (use === undefined) removals.push(...payloadRemovals(this.#view, kind, payload));
    else
      waits.push(
        `${kind.word} ${payload.spec?.name ?? id}, which is in use by service ${use.service.spec?.name ?? use.service.id}`,
      );
  }

  /** Names of those that are still there. */
  #volumes(removals: ChangeGroup[]): readonly string[] {
    const names: string[] = [];
    for (const name of this.#stack.volumeNames)
      for (const volume of this.#view.members('volume', 'name', name.toLowerCase())) {
        if (volume.spec?.name !== name) continue;
        names.push(name);
        if (volume.pendingDelete) continue;
        const askAtMs = volume.message === '' ? 0 : volume.updatedAtMs + this.#volumeRetryMs;
        // A clock that was put back holds nothing up.
        if (askAtMs > this.#nowMs && volume.updatedAtMs <= this.#nowMs)
          this.wakeAtMs = earliest(this.wakeAtMs, askAtMs);
        else removals.push([{ kind: 'update', table: 'volume', object: removalBegun(volume) }]);
      }
    return [...new Set(names)];
  }
}

/** Versions go before what they are of, as many at a time as a transaction takes. */
function payloadRemovals(view: StoreView, kind: PayloadKind, payload: Payload): readonly ChangeGroup[] {
  const changes: Change[] = payload.versions.flatMap(
    ({ number }) => kind.removeVersion(view, payload.id, number) ?? [],
  );
  const most = LIMITS.CHANGES_PER_TRANSACTION - 1;
  if (changes.length > most) return [changes.slice(0, most)];
  return [[...changes, kind.change('remove', payload)]];
}

/** A service that is to be on the network, or whose task still is. */
function networkUser(view: StoreView, id: string): string | undefined {
  for (const service of view.all('service'))
    if (attachmentsOf(service.spec).some(({ network }) => network === id))
      return `service ${service.spec?.name ?? service.id}`;
  for (const service of view.all('service'))
    for (const revision of view.revisionsOfService(service.id)) {
      if (!attachmentsOf(revision.spec).some(({ network }) => network === id)) continue;
      for (const task of view.tasksOfService(service.id))
        if (
          task.revision === revision.number &&
          task.nodeId !== '' &&
          !hasEnded(task) &&
          !isLost(view.get('node', task.nodeId))
        )
          return `task ${task.id} of service ${service.spec?.name ?? service.id}`;
    }
  for (const { spec, number } of view.revisionsOfService('')) {
    if (spec === undefined || !attachmentsOf(spec).some(({ network }) => network === id)) continue;
    const task = view.oneOffByName(spec.name);
    if (task?.revision === number && !hasEnded(task)) return `container ${spec.name}`;
  }
  return undefined;
}

const NAMES_SHOWN = 5;

function someOf(services: readonly { readonly spec?: { readonly name: string } | undefined }[]): string {
  const names = services.map(({ spec }) => spec?.name ?? '').sort();
  const more = names.length - NAMES_SHOWN;
  return more > 0 ? `${names.slice(0, NAMES_SHOWN).join(', ')} and ${more} more` : names.join(', ');
}
