import assert from 'node:assert/strict';
import { fieldDifferences } from '#common/field-diff.ts';
import {
  ContainerSpec,
  EndpointSpec,
  Mount,
  MountType,
  Placement,
  PortConfig,
  PortProtocol,
  ServiceSpec,
  TaskSpec,
  UpdateConfig,
  UpdateOrder,
} from '#gen/swarm/v1/specs.ts';
import { specDifferences } from '#proto/spec-diff.ts';

function spec(container: Partial<ContainerSpec>, more: Partial<ServiceSpec> = {}): ServiceSpec {
  return ServiceSpec.create({
    name: 'web',
    mode: { kind: 'replicated', value: { replicas: 3 } },
    task: TaskSpec.create({ container: ContainerSpec.create({ image: 'web:1', ...container }) }),
    ...more,
  });
}

describe('spec diff', () => {
  it('names each field that differs, with its path and both values', () => {
    const before = spec({ env: ['A=1', 'B=2'], stopGracePeriodMs: 10_000, command: ['a', 'b'] });
    const after = spec(
      { image: 'web:2', env: ['B=3', 'A=1', 'C=4'], stopGracePeriodMs: 90_000, command: ['b', 'a'], readOnly: true },
      { mode: { kind: 'replicated', value: { replicas: 5 } }, labels: { 'com.example.tier': 'front' } },
    );
    assert.deepEqual(specDifferences(before, after), [
      { path: 'labels[com.example.tier]', before: '', after: '"front"' },
      { path: 'mode.replicated.replicas', before: '3', after: '5' },
      { path: 'task.container.command', before: '["a","b"]', after: '["b","a"]' },
      { path: 'task.container.env[B]', before: '"B=2"', after: '"B=3"' },
      { path: 'task.container.env[C]', before: '', after: '"C=4"' },
      { path: 'task.container.image', before: '"web:1"', after: '"web:2"' },
      { path: 'task.container.read_only', before: 'false', after: 'true' },
      { path: 'task.container.stop_grace_period_ms', before: '"10s"', after: '"1m30s"' },
    ]);
  });

  it('looks into what was not declared at all as if it had been declared empty', () => {
    const after = spec({}, { update: UpdateConfig.create({ parallelism: 0, order: UpdateOrder.START_FIRST }) });
    assert.deepEqual(specDifferences(spec({}), after), [
      { path: 'update.order', before: '"default"', after: '"start-first"' },
      { path: 'update.parallelism', before: '', after: '0' },
    ]);
    assert.deepEqual(specDifferences(spec({}), spec({}, { update: UpdateConfig.create() })), []);
  });

  it('tells elements of lists apart by what they are for, not by their place', () => {
    const mounts = ['/a', '/b'].map((target) => Mount.create({ type: MountType.VOLUME, source: 'data', target }));
    const [first, second] = mounts;
    assert.ok(first && second);
    const moved = { ...first, readOnly: true };
    assert.deepEqual(specDifferences(spec({ mounts }), spec({ mounts: [second, moved] })), [
      { path: 'task.container.mounts[/a].read_only', before: 'false', after: 'true' },
    ]);
    assert.deepEqual(specDifferences(spec({ mounts: [first] }), spec({ mounts })), [
      {
        path: 'task.container.mounts[/b]',
        before: '',
        after: '{"source":"data","target":"/b","type":"volume"}',
      },
    ]);
    const port = (publishedPort: number): EndpointSpec =>
      EndpointSpec.create({
        ports: [PortConfig.create({ protocol: PortProtocol.UDP, targetPort: 53, publishedPort })],
      });
    assert.deepEqual(specDifferences(spec({}, { endpoint: port(53) }), spec({}, { endpoint: port(5353) })), [
      { path: 'endpoint.ports[53/udp].published_port', before: '53', after: '5353' },
    ]);
    const placed = (constraints: readonly string[]): ServiceSpec =>
      spec({}, { task: TaskSpec.create({ placement: Placement.create({ constraints }) }) });
    assert.deepEqual(specDifferences(placed(['b', 'a']), placed(['a', 'b'])), []);
  });

  it('compares credentials and never shows them', () => {
    const found = specDifferences(spec({ registryAuth: 'old' }), spec({ registryAuth: 'new' }));
    assert.deepEqual(found, [{ path: 'task.container.registry_auth', before: '"(hidden)"', after: '"(hidden)"' }]);
    assert.deepEqual(specDifferences(spec({ registryAuth: 'same' }), spec({ registryAuth: 'same' })), []);
  });

  it('shows another mode as one that went and one that came', () => {
    const found = specDifferences(spec({}), spec({}, { mode: { kind: 'global', value: {} } }));
    assert.deepEqual(found, [
      { path: 'mode.global', before: '', after: '{}' },
      { path: 'mode.replicated', before: '{"replicas":3}', after: '' },
    ]);
  });

  it('keeps elements with equal keys apart, and is not misled by names of Object', () => {
    assert.deepEqual(specDifferences(spec({ env: ['A=1', 'A=2'] }), spec({ env: ['A=1', 'A=3'] })), [
      { path: 'task.container.env[A 2]', before: '"A=2"', after: '"A=3"' },
    ]);
    assert.deepEqual(specDifferences(spec({}, { labels: { constructor: 'x' } }), spec({})), [
      { path: 'labels[constructor]', before: '"x"', after: '' },
    ]);
  });

  it('needs no rules for plain objects', () => {
    const found = fieldDifferences({ a: { b: 1 }, bytes: Uint8Array.of(1) }, { a: { b: 2 }, bytes: Uint8Array.of(2) });
    assert.deepEqual(
      found.map(({ path }) => path),
      ['a.b', 'bytes'],
    );
    assert.doesNotMatch(JSON.stringify(found), /\[2\]/);
  });
});
