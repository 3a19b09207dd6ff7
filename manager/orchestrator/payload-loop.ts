/**
 * Leads services to the newest versions of the secrets and configs that they follow, and takes old versions away that
 * nothing needs any more. How far it is stands in the store: `followedNumber` of the payload is behind its newest
 * version until every service that follows has a revision with it. Later on a service may go back to an older version by
 * a rollback, and stays there.
 */
import { newId } from '#common/ids.ts';
import { LIMITS } from '#common/limits.ts';
import type { Random } from '#common/random.ts';
import type { Revision, Service } from '#gen/swarm/v1/objects.ts';
import {
  followedSpec,
  follows,
  isLeading,
  newestNumber,
  PAYLOAD_KINDS,
  type Payload,
  type PayloadKind,
  payloadKey,
  payloadReferences,
} from '#manager/payloads/index.ts';
import type { Change, ChangeGroup, Loop, Plan, StoreEvent, StoreView } from '#manager/store/index.ts';
import type { OrchestratorConfig } from './config.ts';
import { reviseService } from './revise-service.ts';

interface PayloadName {
  readonly kind: PayloadKind;
  readonly id: string;
}

export class PayloadLoop implements Loop {
  readonly name = 'payloads';
  readonly #config: OrchestratorConfig;
  readonly #random: Random;
  /** Payloads that are to be looked at, by key. They leave when a look finds nothing to change. */
  readonly #due = new Map<string, PayloadName>();
  /** Ids of services by the key of what they refer to. */
  readonly #services = new Map<string, Set<string>>();
  /** Per payload and version, how many revisions refer to it. */
  readonly #revisions = new Map<string, Map<number, number>>();

  constructor(config: OrchestratorConfig, random: Random) {
    this.#config = config;
    this.#random = random;
  }

  restore(view: StoreView): void {
    this.#due.clear();
    this.#services.clear();
    this.#revisions.clear();
    for (const kind of PAYLOAD_KINDS) for (const { id } of kind.all(view)) this.#touch(kind, id);
    for (const service of view.all('service')) this.#addService(service);
    for (const revision of view.all('revision')) this.#countRevision(revision, 1);
  }

  observe(event: StoreEvent): void {
    if (event.table === 'service') {
      if (event.old?.spec !== undefined && event.old.spec !== event.object.spec) this.#removeService(event.old);
      if (event.kind === 'remove') this.#removeService(event.object);
      else if (event.old?.spec !== event.object.spec) this.#addService(event.object);
    } else if (event.table === 'revision') {
      if (event.kind === 'create') this.#countRevision(event.object, 1);
      else if (event.kind === 'remove') this.#countRevision(event.object, -1);
    } else
      for (const kind of PAYLOAD_KINDS) {
        const found = kind.eventOf(event);
        if (found !== undefined) this.#touch(kind, found.payload.id);
      }
  }

  plan(view: StoreView): Plan {
    const changes: ChangeGroup[] = [];
    const led = new Set<string>();
    for (const [key, { kind, id }] of this.#due) {
      const payload = kind.get(view, id);
      const before = changes.length;
      if (payload !== undefined) this.#look(view, kind, payload, led, changes);
      if (changes.length >= this.#config.groupsPerSlice) return { changes, wakeAtMs: undefined, more: true };
      // What one service follows may be in the changes of another payload: it is looked at again when they are through.
      if (changes.length === before && (payload === undefined || !isLeading(payload))) this.#due.delete(key);
    }
    return { changes, wakeAtMs: undefined };
  }

  #look(view: StoreView, kind: PayloadKind, payload: Payload, led: Set<string>, changes: ChangeGroup[]): void {
    if (isLeading(payload)) {
      if (this.#lead(view, kind, payload, led, changes)) return;
      changes.push([kind.change('update', { ...payload, followedNumber: newestNumber(payload) })]);
      return;
    }
    const removal = this.#removal(view, kind, payload);
    if (removal !== undefined) changes.push(removal);
  }

  /** New revisions of services that follow; false when none is needed any more. */
  #lead(view: StoreView, kind: PayloadKind, payload: Payload, led: Set<string>, changes: ChangeGroup[]): boolean {
    let isNeeded = false;
    for (const serviceId of this.#services.get(payloadKey(kind, payload.id)) ?? []) {
      const service = view.get('service', serviceId);
      if (service === undefined || !follows(service, kind, payload.id)) continue;
      const spec = followedSpec(view, service);
      if (spec === undefined) continue;
      isNeeded = true;
      if (led.has(serviceId)) continue;
      if (changes.length >= this.#config.groupsPerSlice) return true;
      led.add(serviceId);
      const createdBy = `${kind.word} ${payload.spec?.name ?? payload.id}`;
      changes.push(reviseService(view, service, { id: newId(this.#random), spec, createdBy }).changes);
    }
    return isNeeded;
  }

  /** Without the versions that are neither among the newest nor in a kept revision. */
  #removal(view: StoreView, kind: PayloadKind, payload: Payload): ChangeGroup | undefined {
    const used = this.#revisions.get(payloadKey(kind, payload.id));
    const superfluous = new Set(
      payload.versions
        .slice(0, -LIMITS.PAYLOAD_VERSIONS_KEPT)
        .map(({ number }) => number)
        .filter((number) => used?.has(number) !== true),
    );
    if (superfluous.size === 0) return undefined;
    const versions = payload.versions.filter(({ number }) => !superfluous.has(number));
    const changes: Change[] = [kind.change('update', { ...payload, versions })];
    for (const number of superfluous) {
      const gone = kind.removeVersion(view, payload.id, number);
      if (gone !== undefined) changes.push(gone);
    }
    return changes;
  }

  #touch(kind: PayloadKind, id: string): void {
    this.#due.set(payloadKey(kind, id), { kind, id });
  }

  #addService(service: Service): void {
    for (const { kind, reference } of payloadReferences(service.spec)) {
      const key = payloadKey(kind, reference.id);
      const services = this.#services.get(key) ?? new Set<string>();
      this.#services.set(key, services.add(service.id));
    }
  }

  #removeService(service: Service): void {
    for (const { kind, reference } of payloadReferences(service.spec)) {
      const key = payloadKey(kind, reference.id);
      const services = this.#services.get(key);
      services?.delete(service.id);
      if (services?.size === 0) this.#services.delete(key);
    }
  }

  /** A version that one revision refers to twice counts twice. */
  #countRevision(revision: Revision, change: 1 | -1): void {
    for (const { kind, reference } of payloadReferences(revision.spec)) {
      const key = payloadKey(kind, reference.id);
      const numbers = this.#revisions.get(key) ?? new Map<number, number>();
      const count = (numbers.get(reference.number) ?? 0) + change;
      if (count > 0) numbers.set(reference.number, count);
      else numbers.delete(reference.number);
      if (numbers.size > 0) this.#revisions.set(key, numbers);
      else this.#revisions.delete(key);
      if (change < 0) this.#touch(kind, reference.id);
    }
  }
}
