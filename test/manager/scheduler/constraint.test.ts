/** Goal: constraints mean what they mean on Swarm, and what cannot be meant is refused with a way out. */
import assert from 'node:assert/strict';
import { SwarmError } from '#common/errors.ts';
import { EngineDescription, type Node } from '#gen/swarm/v1/objects.ts';
import { NodeRole } from '#gen/swarm/v1/specs.ts';
import { compileConstraints, meetsConstraints, parseConstraint, parseConstraints } from '#manager/scheduler/index.ts';
import { node } from '#test/manager/loops/objects.ts';

function holds(text: string, candidate: Node): boolean {
  const parsed = parseConstraint('--constraint', text);
  if (parsed instanceof SwarmError) throw parsed;
  return meetsConstraints([parsed], candidate);
}

function refusal(text: string): SwarmError {
  const parsed = parseConstraint('--constraint', text);
  assert.ok(parsed instanceof SwarmError, `${text} was not refused`);
  return parsed;
}

const plain = node('node1', {
  hostname: 'Web-1',
  labels: { zone: 'Berlin', constructor: 'yes', 'a.b-c': '1' },
  address: '10.1.2.3',
  role: NodeRole.MANAGER,
});
const full: Node = {
  ...plain,
  description: {
    ...plain.description,
    engine: EngineDescription.create({ labels: { disk: 'ssd' } }),
  } as Node['description'],
};

describe('scheduler: constraints', () => {
  const cases: readonly (readonly [string, boolean])[] = [
    ['node.id == node1', true],
    ['node.id==NODE1', true],
    ['node.id != node1', false],
    ['node.hostname == web-1', true],
    ['node.role == manager', true],
    ['node.role != worker', true],
    ['node.platform.os == Linux', true],
    ['node.platform.arch == amd64', true],
    ['node.platform.arch == x86_64', true],
    ['node.platform.arch != arm64', true],
    ['node.labels.zone == berlin', true],
    ['node.labels.zone != berlin', false],
    ['NODE.LABELS.zone == berlin', true],
    ['node.labels.Zone == berlin', false],
    ['node.labels.missing != x', true],
    ['node.labels.constructor == yes', true],
    ['node.labels.toString == x', false],
    ['node.labels.a.b-c == 1', true],
    ['engine.labels.disk == ssd', true],
    ['engine.labels.disk != hdd', true],
    ['node.ip == 10.1.2.3', true],
    ['node.ip == 10.0.0.0/8', true],
    ['node.ip != 10.1.0.0/16', false],
    ['node.ip == 10.1.2.4', false],
    ['node.ip == fd00::/8', false],
  ];
  for (const [text, expected] of cases)
    it(`${text} is ${expected}`, () => {
      assert.equal(holds(text, full), expected);
    });

  it('IPv6 networks', () => {
    const six = node('six', { address: 'fd00:1::7' });
    assert.ok(holds('node.ip == fd00:1::/32', six));
    assert.ok(holds('node.ip == FD00:1:0:0:0:0:0:7', six));
    assert.ok(!holds('node.ip == fd00:2::/32', six));
    assert.ok(holds('node.ip == ::ffff:10.1.2.3', node('mapped', { address: '::ffff:a01:203' })));
  });

  it('a node that has not described itself meets only what the empty text meets', () => {
    const bare: Node = { ...plain, description: undefined, spec: undefined };
    assert.ok(!holds('node.hostname == web-1', bare));
    assert.ok(holds('node.labels.zone != berlin', bare));
  });

  const refused: readonly (readonly [string, RegExp])[] = [
    ['node.role', /expected one operator/],
    ['node.role = manager', /expected one operator/],
    ['== manager', /key "" is invalid/],
    ['node.role ==', /value "" is invalid/],
    ['node.rôle == manager', /key "node.rôle" is invalid/],
    ['node.role == man{ager', /value "man\{ager" is invalid/],
    ['node.shoe == 42', /no node has an attribute "node.shoe"/],
    ['node.labels. == x', /no node has an attribute/],
    ['constructor == x', /no node has an attribute "constructor"/],
    ['node.ip == 300.1.2.3', /is no IP address/],
    ['node.ip == 10.0.0.0/33', /is no IP address/],
    ['node.ip == 1::2::3', /is no IP address/],
  ];
  for (const [text, message] of refused)
    it(`${text} is refused`, () => {
      const error = refusal(text);
      assert.match(error.message, message);
      assert.equal(error.field, '--constraint');
      assert.equal(error.reason, 'bad-field');
    });

  it('several: all have to hold; the first bad one is reported', () => {
    const two = parseConstraints('constraints', ['node.role == manager', 'node.labels.zone == paris']);
    assert.ok(!(two instanceof SwarmError) && !meetsConstraints(two, full));
    const bad = parseConstraints('constraints', ['node.role == manager', 'nonsense']);
    assert.ok(bad instanceof SwarmError);
    assert.match(bad.message, /nonsense/);
  });

  it('a stored one that does not parse is met by no node', () => {
    assert.ok(!meetsConstraints(compileConstraints(['node.future ~= x']), full));
  });
});
