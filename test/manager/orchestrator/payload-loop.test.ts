/**
 * Goal: services get the newest versions of what they follow, exactly once, whoever leads; what a kept revision refers to
 * is never taken away, and what nothing needs goes. Method: random histories of the API's decisions over all loops, with
 * leaders that change in the middle and writes in between plan and commit; compared with what each service should have.
 */
import assert from 'node:assert/strict';
import fc from 'fast-check';
import { LIMITS } from '#common/limits.ts';
import { SeededRandom } from '#common/random.ts';
import { Cluster, NodeDescription } from '#gen/swarm/v1/objects.ts';
import {
  ClusterSpec,
  ConfigReference,
  ContainerSpec,
  GlobalJobMode,
  JobSpec,
  SecretReference,
  type ServiceSpec,
} from '#gen/swarm/v1/specs.ts';
import { createPayload, updatePayload } from '#manager/control/payloads.ts';
import { createService, updateService } from '#manager/control/services.ts';
import { DEFAULT_ORCHESTRATOR_CONFIG } from '#manager/orchestrator/index.ts';
import { PayloadLoop } from '#manager/orchestrator/payload-loop.ts';
import {
  CONFIGS,
  isLeading,
  newestNumber,
  type Payload,
  type PayloadKind,
  payloadReferences,
  SECRETS,
} from '#manager/payloads/index.ts';
import type { Change } from '#manager/store/index.ts';
import { LoopCluster } from '#test/manager/loops/loop-cluster.ts';
import { node, spec } from '#test/manager/loops/objects.ts';

const random = new SeededRandom(7);
const writer = { author: 'test', random, nowMs: 0 };
const data = (text: string): Uint8Array => Buffer.from(text);

/** Of the services by their place: what they refer to, and whether they follow. */
const SERVICES: readonly (readonly {
  readonly kind: PayloadKind;
  readonly name: string;
  readonly follow: boolean;
}[])[] = [
  [{ kind: SECRETS, name: 'a', follow: true }],
  [
    { kind: SECRETS, name: 'a', follow: true },
    { kind: CONFIGS, name: 'c', follow: true },
  ],
  [
    { kind: SECRETS, name: 'a', follow: false },
    { kind: SECRETS, name: 'b', follow: true },
  ],
];

class World {
  readonly cluster = new LoopCluster({ seed: 3 });
  /** A loop that has only heard of everything. */
  readonly listener = new PayloadLoop(DEFAULT_ORCHESTRATOR_CONFIG, new SeededRandom(5));

  constructor() {
    const { cluster } = this;
    cluster.changeLeader();
    this.listener.restore(cluster.store);
    cluster.shadows = [this.listener];
    cluster.create('cluster', Cluster.create({ id: 'cluster', featureLevel: 4, spec: ClusterSpec.create() }));
    const worker = node('n1');
    cluster.create('node', {
      ...worker,
      description: NodeDescription.create({ ...worker.description, featureLevel: 4 }),
    });
    this.write(createPayload(cluster.store, SECRETS, { spec: payloadSpec('a'), data: data('a1') }, writer));
    this.write(createPayload(cluster.store, SECRETS, { spec: payloadSpec('b'), data: data('b1') }, writer));
    this.write(createPayload(cluster.store, CONFIGS, { spec: payloadSpec('c'), data: data('c1') }, writer));
  }

  write({ changes }: { readonly changes: readonly Change[] }): void {
    this.cluster.commit(...changes);
  }

  service(place: number): string | undefined {
    return this.cluster.store.serviceByName(`s${place}`)?.id;
  }

  createService(place: number): void {
    if (this.service(place) === undefined) this.write(createService(this.cluster.store, specOf(place), 'test', random));
  }

  /** What the service refers to, as `secret a 3`. */
  has(place: number): readonly string[] {
    const id = this.service(place);
    const service = id === undefined ? undefined : this.cluster.store.get('service', id);
    return payloadReferences(service?.spec).map(
      ({ kind, reference }) => `${kind.word} ${reference.name} ${reference.number}`,
    );
  }

  named(kind: PayloadKind, name: string): Payload {
    const payload = kind.named(this.cluster.store, name);
    assert.ok(payload !== undefined);
    return payload;
  }

  newest(kind: PayloadKind, name: string): number {
    return newestNumber(this.named(kind, name));
  }

  update(kind: PayloadKind, name: string, text: string): void {
    const { store } = this.cluster;
    const payload = this.named(kind, name);
    if (payload.versions.length >= LIMITS.VERSIONS_PER_PAYLOAD) return;
    const request = { id: payload.id, version: payload.version, spec: undefined, data: data(text) };
    this.write(updatePayload(store, kind, request, writer));
  }

  /** As a rollback does: the spec of a kept revision becomes the newest. */
  returnTo(place: number, pick: number): void {
    const { store } = this.cluster;
    const id = this.service(place);
    const service = id === undefined ? undefined : store.get('service', id);
    if (service === undefined || id === undefined) return;
    const revisions = [...store.revisionsOfService(id)];
    const earlier = revisions[pick % revisions.length]?.spec;
    assert.ok(earlier !== undefined);
    this.write(updateService(store, { id, version: service.version, spec: earlier }, 'test', random));
  }

  /** The law: a loop that heard of everything plans what one that was just restored plans. */
  checkLaw(): void {
    const fresh = new PayloadLoop(DEFAULT_ORCHESTRATOR_CONFIG, new SeededRandom(9));
    fresh.restore(this.cluster.store);
    const planned = (loop: PayloadLoop): readonly string[] =>
      loop
        .plan(this.cluster.store)
        .changes.flat()
        .map(({ kind, table, object }) => `${kind} ${table} ${kind === 'create' ? '' : object.id}`)
        .sort();
    assert.deepEqual(planned(this.listener), planned(fresh));
  }

  checkVersions(): void {
    const { store } = this.cluster;
    for (const revision of store.all('revision'))
      for (const { kind, reference } of payloadReferences(revision.spec))
        assert.ok(
          kind.version(store, reference.id, reference.number) !== undefined,
          `${kind.word} ${reference.name} ${reference.number} of revision ${revision.number}`,
        );
    for (const kind of [SECRETS, CONFIGS])
      for (const payload of kind.all(store))
        for (const { number } of payload.versions) assert.ok(kind.version(store, payload.id, number) !== undefined);
    const listed = [SECRETS, CONFIGS].flatMap((kind) => [...kind.all(store)]).flatMap(({ versions }) => versions);
    assert.equal(store.count('secretVersion') + store.count('configVersion'), listed.length);
  }
}

function payloadSpec(name: string): { name: string; labels: Record<string, string>; templateDriver: string } {
  return { name, labels: {}, templateDriver: '' };
}

function specOf(place: number): ServiceSpec {
  const made = spec({ replicas: 1 });
  const references = SERVICES[place] ?? [];
  const secrets = references
    .filter(({ kind }) => kind === SECRETS)
    .map(({ name, follow }) => SecretReference.create({ secretName: name, follow }));
  const configs = references
    .filter(({ kind }) => kind === CONFIGS)
    .map(({ name, follow }) => ConfigReference.create({ configName: name, follow }));
  const container = ContainerSpec.create({ ...made.task?.container, image: 'x', secrets, configs });
  return { ...made, name: `s${place}`, task: { ...made.task, container } as ServiceSpec['task'] };
}

const command = fc.oneof(
  fc.record({ kind: fc.constant('create' as const), place: fc.nat({ max: 2 }) }),
  fc.record({
    kind: fc.constant('update' as const),
    payload: fc.constantFrom('a', 'a', 'b', 'c'),
    text: fc.nat({ max: 3 }),
    times: fc.constantFrom(1, 1, 2, 8),
  }),
  fc.record({ kind: fc.constant('return' as const), place: fc.nat({ max: 2 }), pick: fc.nat({ max: 9 }) }),
  fc.record({ kind: fc.constant('remove' as const), place: fc.nat({ max: 2 }) }),
  fc.constant({ kind: 'change-leader' as const }),
  fc.constant({ kind: 'interfere' as const }),
  fc.constant({ kind: 'run' as const }),
);

describe('orchestrator: versions of secrets and configs', () => {
  it('reach the services that follow, whoever leads, and stay where a rollback went', () => {
    fc.assert(
      fc.property(fc.array(command, { minLength: 5, maxLength: 40 }), (commands) => {
        const world = new World();
        const { cluster } = world;
        /** What services should have when all is done, by place. */
        const expected = new Map<number, readonly string[]>();
        const newest = (place: number): readonly string[] =>
          (SERVICES[place] ?? []).map(({ kind, name, follow }, index) => {
            const pinned = expected.get(place)?.[index];
            return follow || pinned === undefined ? `${kind.word} ${name} ${world.newest(kind, name)}` : pinned;
          });
        for (const one of commands) {
          if (one.kind === 'create' && world.service(one.place) === undefined) {
            world.createService(one.place);
            expected.set(one.place, newest(one.place));
          } else if (one.kind === 'update') {
            const kind = one.payload === 'c' ? CONFIGS : SECRETS;
            const before = world.newest(kind, one.payload);
            for (let time = 0; time < one.times; time++)
              world.update(kind, one.payload, `${one.payload} ${one.text + time}`);
            const isNew = world.newest(kind, one.payload) > before;
            for (const [place, had] of isNew ? expected : [])
              expected.set(
                place,
                had.map((text, index) => (isOf(place, index, one.payload) ? (newest(place)[index] ?? text) : text)),
              );
          } else if (one.kind === 'return' && world.service(one.place) !== undefined) {
            cluster.interfere = undefined;
            cluster.settle();
            world.returnTo(one.place, one.pick);
            expected.set(one.place, world.has(one.place));
          } else if (one.kind === 'remove') {
            const id = world.service(one.place);
            if (id !== undefined) cluster.edit('service', id, { pendingDelete: true });
            cluster.run(120_000);
            expected.delete(one.place);
          } else if (one.kind === 'change-leader') cluster.changeLeader();
          else if (one.kind === 'interfere') {
            cluster.interfere = () => {
              cluster.interfere = undefined;
              for (const service of cluster.store.all('service')) cluster.edit('service', service.id, {});
            };
          } else if (one.kind === 'run') cluster.run(60_000);
          world.checkLaw();
          world.checkVersions();
        }
        cluster.interfere = undefined;
        cluster.run(600_000);
        for (const [place, wanted] of expected) assert.deepEqual(world.has(place), wanted, `service ${place}`);
        for (const kind of [SECRETS, CONFIGS])
          for (const payload of kind.all(cluster.store)) assert.ok(!isLeading(payload), payload.spec?.name);
        world.checkLaw();
        world.checkVersions();
      }),
      { numRuns: 60 },
    );
  });

  it('are one new revision for a service that follows two of them, and begin an update', () => {
    const world = new World();
    world.createService(1);
    world.cluster.run(60_000);
    world.update(SECRETS, 'a', 'a2');
    world.update(CONFIGS, 'c', 'c2');
    world.cluster.run(60_000);
    const id = world.service(1);
    assert.ok(id !== undefined);
    assert.deepEqual(world.has(1), ['secret a 2', 'config c 2']);
    assert.equal(world.cluster.store.get('service', id)?.revision, 2);
    assert.equal(world.cluster.store.revision(id, 2)?.createdBy, 'secret a');
    const running = world.cluster.running(id);
    assert.deepEqual(
      running.map(({ revision }) => revision),
      [2],
    );
  });

  it('that nothing refers to go, but for the newest ten', () => {
    const world = new World();
    for (let number = 2; number <= 25; number++) world.update(SECRETS, 'b', `b${number}`);
    world.cluster.run(60_000);
    const numbers = SECRETS.named(world.cluster.store, 'b')?.versions.map(({ number }) => number);
    assert.deepEqual(
      numbers,
      Array.from({ length: LIMITS.PAYLOAD_VERSIONS_KEPT }, (_, index) => 16 + index),
    );
  });

  it('that a service has stay, and go with its last revision', () => {
    const world = new World();
    world.createService(2);
    world.cluster.run(60_000);
    for (let number = 2; number <= 25; number++) world.update(SECRETS, 'a', `a${number}`);
    world.cluster.run(60_000);
    const numbersOf = (): readonly number[] =>
      SECRETS.named(world.cluster.store, 'a')?.versions.map(({ number }) => number) ?? [];
    assert.deepEqual(numbersOf().slice(0, 2), [1, 16]);
    const id = world.service(2);
    assert.ok(id !== undefined);
    world.cluster.edit('service', id, { pendingDelete: true });
    world.cluster.run(120_000);
    assert.equal(world.cluster.store.get('service', id), undefined);
    assert.equal(numbersOf()[0], 16);
  });

  it('do not run a job anew that runs when it is updated', () => {
    const world = new World();
    const job = {
      ...specOf(0),
      mode: { kind: 'globalJob' as const, value: GlobalJobMode.create() },
      job: JobSpec.create(),
    };
    world.write(createService(world.cluster.store, job, 'test', random));
    world.update(SECRETS, 'a', 'a2');
    world.cluster.run(60_000);
    assert.deepEqual(world.has(0), ['secret a 1']);
  });
});

function isOf(place: number, index: number, payload: string): boolean {
  const reference = SERVICES[place]?.[index];
  return reference?.name === payload && reference.follow;
}
