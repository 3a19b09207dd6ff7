/** Goal: what is declared of placement is kept as it is meant, or refused with the field and a way out. */
import assert from 'node:assert/strict';
import fc from 'fast-check';
import { SwarmError } from '#common/errors.ts';
import { SeededRandom } from '#common/random.ts';
import { Cluster } from '#gen/swarm/v1/objects.ts';
import { Affinity, GenericResource, Placement, Resources, type ServiceSpec } from '#gen/swarm/v1/specs.ts';
import { createService, updateService } from '#manager/control/services.ts';
import { SERVICES_LEVEL } from '#manager/scheduler/index.ts';
import { MemoryStore } from '#test/manager/loops/memory-store.ts';
import { create, spec, T0 } from '#test/manager/loops/objects.ts';

class Swarm {
  readonly store = new MemoryStore();
  readonly #random = new SeededRandom(1);

  constructor(featureLevel = SERVICES_LEVEL) {
    this.store.commit([create('cluster', Cluster.create({ id: 'cluster', featureLevel }))], T0);
  }

  create(declared: ServiceSpec): string {
    const { result, changes } = createService(this.store, declared, 'test', this.#random);
    assert.ok(this.store.commit(changes, T0) !== undefined);
    return result.id;
  }

  update(id: string, declared: ServiceSpec): void {
    const { version } = this.store.get('service', id) ?? { version: 0 };
    const { changes } = updateService(this.store, { id, version, spec: declared }, 'test', this.#random);
    assert.ok(this.store.commit(changes, T0) !== undefined);
  }

  affinities(id: string): readonly Affinity[] {
    return this.store.get('service', id)?.spec?.task?.placement?.affinities ?? [];
  }
}

function withRules(name: string, ...affinities: readonly Partial<Affinity>[]): ServiceSpec {
  return spec({ name, placement: { affinities: affinities.map((rule) => Affinity.create(rule)) } });
}

function reserving(...generic: readonly GenericResource[]): ServiceSpec {
  const declared = spec({ name: 'g' });
  const resources = { ...declared.task?.resources, reservations: Resources.create({ generic }) };
  return { ...declared, task: { ...declared.task, resources } } as ServiceSpec;
}

function count(kind: string, value: number): GenericResource {
  return GenericResource.create({ kind, value: { kind: 'count', value } });
}

function refusal(act: () => unknown): SwarmError {
  try {
    act();
  } catch (thrown) {
    if (thrown instanceof SwarmError) return thrown;
    throw thrown;
  }
  throw new Error('it was not refused');
}

describe('control: placement', () => {
  it('services are named by name or id and kept by id, the service itself too', () => {
    const swarm = new Swarm();
    const db = swarm.create(spec({ name: 'db' }));
    const web = swarm.create(withRules('web', { service: 'db' }, { service: 'web', anti: true }));
    assert.deepEqual(
      swarm.affinities(web).map(({ service }) => service),
      [db, web],
    );
    swarm.update(web, withRules('web', { service: db, topology: 'node.labels.zone' }, { service: web, anti: true }));
    assert.equal(swarm.affinities(web)[0]?.topology, 'node.labels.zone');
  });

  it('a rule about a service that is gone stays; a new one is refused', () => {
    const swarm = new Swarm();
    const db = swarm.create(spec({ name: 'db' }));
    const web = swarm.create(withRules('web', { service: 'db' }));
    const service = swarm.store.get('service', db);
    assert.ok(service !== undefined);
    swarm.store.commit([{ kind: 'remove', table: 'service', object: service }], T0);
    swarm.update(web, withRules('web', { service: db, weight: 5 }));
    assert.equal(swarm.affinities(web)[0]?.service, db);
    const error = refusal(() => swarm.create(withRules('other', { service: 'db', anti: true })));
    assert.equal(error.field, 'anti-affinity');
    assert.match(error.message, /service db not found/);
  });

  const refused: readonly (readonly [string, ServiceSpec, string, RegExp])[] = [
    ['no service', withRules('w', {}), 'affinity', /no service was named/],
    ['topology', withRules('w', { service: 'w', topology: 'zone' }), 'affinity', /"zone" names no label/],
    ['weight', withRules('w', { service: 'w', anti: true, weight: 101 }), 'anti-affinity', /weight 101/],
    ['twice', withRules('w', { service: 'w' }, { service: 'W', weight: 3 }), 'affinity', /named twice/],
    ['both', withRules('w', { service: 'w' }, { service: 'w', anti: true }), 'anti-affinity', /near and apart at once/],
    ['many', withRules('w', ...Array.from({ length: 33 }, () => ({ service: 'w' }))), 'affinity', /the limit is 32/],
    ['priority', spec({ placement: { priority: 1001 } }), 'priority', /1001 is not between/],
    ['strategy', spec({ placement: { strategy: 9 as Placement['strategy'] } }), 'placement-strategy', /9 is not known/],
    ['kind', reserving(count('G PU', 1)), 'generic-resource', /"G PU" is not a name/],
    ['none', reserving(count('GPU', 0)), 'generic-resource', /GPU=0 is not a number between 1/],
    ['twice', reserving(count('GPU', 1), count('GPU', 2)), 'generic-resource', /asked for twice/],
    [
      'named',
      reserving(GenericResource.create({ kind: 'GPU', value: { kind: 'name', value: 'a' } })),
      'generic-resource',
      /nodes name their resources/,
    ],
  ];
  for (const [name, declared, field, message] of refused)
    it(`refuses ${field}: ${name}`, () => {
      const error = refusal(() => new Swarm().create(declared));
      assert.equal(error.field, field);
      assert.match(error.message, message);
      assert.ok(error.hint !== undefined);
    });

  const gated: readonly (readonly [string, ServiceSpec])[] = [
    ['affinity', withRules('w', { service: 'w', anti: true })],
    ['priority', spec({ placement: { priority: 1 } })],
    ['preempt', spec({ placement: { preempts: true } })],
    ['generic-resource', reserving(count('GPU', 1))],
    ['constraint', spec({ constraints: ['node.resources.cpus > 4'] })],
    ['constraint', spec({ constraints: ['node.labels.zone in (a, b)'] })],
  ];
  for (const [field, declared] of gated)
    it(`while a manager of an older release is there, refuses ${field}`, () => {
      const error = refusal(() => new Swarm(SERVICES_LEVEL - 1).create(declared));
      assert.equal(error.reason, 'feature-level');
      assert.equal(error.field, field);
      new Swarm(SERVICES_LEVEL - 1).create(spec({ constraints: ['node.role == worker', 'engine.labels.a != b'] }));
    });

  it('rubbish in constraints, rules and resources names its field, and nothing is stored', () => {
    const text = fc.string({ maxLength: 30 });
    const rule = fc.record({ service: text, anti: fc.boolean(), topology: text, weight: fc.nat({ max: 200 }) });
    const known = /^(constraints|placement-pref|affinity|anti-affinity|priority|generic-resource)$/;
    fc.assert(
      fc.property(
        fc.array(text, { maxLength: 2 }),
        fc.array(rule, { maxLength: 2 }),
        fc.integer({ min: -3000, max: 3000 }),
        fc.array(fc.tuple(text, fc.nat()), { maxLength: 2 }),
        (constraints, rules, priority, generic) => {
          const swarm = new Swarm();
          const affinities = rules.map((one) => Affinity.create(one));
          const base = reserving(...generic.map(([kind, value]) => count(kind, value)));
          const placement = Placement.create({ constraints, affinities, priority });
          const declared = { ...base, task: { ...base.task, placement } } as ServiceSpec;
          try {
            swarm.create(declared);
          } catch (thrown) {
            assert.ok(thrown instanceof SwarmError, String(thrown));
            assert.match(thrown.field ?? '', known, thrown.message);
            assert.equal(swarm.store.count('service'), 0);
          }
        },
      ),
      { numRuns: 300 },
    );
  });
});
