/** Goal: constraints mean what they mean on Swarm, and what cannot be meant is refused with a way out. */
import assert from 'node:assert/strict';
import { SwarmError } from '#common/errors.ts';
import { EngineDescription, type Node } from '#gen/swarm/v1/objects.ts';
import { GenericResource, NodeRole, Resources } from '#gen/swarm/v1/specs.ts';
import { compileConstraints, meetsConstraints, parseConstraint, parseConstraints } from '#manager/scheduler/index.ts';
import { GIB, node } from '#test/manager/loops/objects.ts';

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
  labels: { zone: 'Berlin', constructor: 'yes', 'a.b-c': '1', weight: '12', disk: '512m', driver: '535.104.5' },
  address: '10.1.2.3',
  role: NodeRole.MANAGER,
  cpus: 8,
  memoryBytes: 16 * GIB,
});
const full: Node = {
  ...plain,
  description: {
    ...plain.description,
    engine: EngineDescription.create({
      labels: { disk: 'ssd' },
      version: '1.10.0-rc1',
      kernelVersion: '6.1.0-13-amd64',
      operatingSystem: 'Debian GNU/Linux 12 (bookworm)',
    }),
    resources: Resources.create({
      ...plain.description?.resources,
      generic: [
        GenericResource.create({ kind: 'GPU', value: { kind: 'name', value: 'a' } }),
        GenericResource.create({ kind: 'GPU', value: { kind: 'name', value: 'b' } }),
        GenericResource.create({ kind: 'SSD', value: { kind: 'count', value: 3 } }),
      ],
    }),
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
    ['node.ip in (192.168.0.0/16, 10.1.2.3)', true],
    ['node.ip not in (192.168.0.0/16, 10.1.0.0/16)', false],
    ['node.labels.zone in (paris, BERLIN)', true],
    ['node.labels.zone IN(paris)', false],
    ['node.labels.zone not in ( paris, rome )', true],
    ['node.labels.zone not  in (berlin)', false],
    ['node.platform.arch in (arm64, amd64)', true],
    ['node.resources.cpus in (4, 8.0)', true],
    ['node.resources.cpus >= 8', true],
    ['node.resources.cpus > 8', false],
    ['node.resources.cpus < 8.5', true],
    ['node.resources.cpus == 8', true],
    ['node.resources.memory > 8GiB', true],
    ['node.resources.memory<=16g', true],
    ['node.resources.memory < 17179869184', false],
    ['node.generic.GPU >= 2', true],
    ['node.generic.GPU > 2', false],
    ['node.generic.SSD == 3', true],
    ['node.generic.gpu > 0', false],
    ['engine.version >= 1.9', true],
    ['engine.version < 1.10.1', true],
    ['engine.version == 1.10.0-rc1', true],
    ['engine.kernel >= 6.1', true],
    ['engine.kernel > 6.1', false],
    ['engine.kernel >= 6.2', false],
    ['engine.os =~ debian', true],
    ['engine.labels.disk =~ ^s', true],
    ['node.labels.weight > 9', true],
    ['node.labels.weight <= 12', true],
    ['node.labels.disk > 100m', true],
    ['node.labels.disk > 1g', false],
    ['node.labels.driver >= 535', true],
    ['node.labels.driver >= 535.104.6', false],
    ['node.labels.driver < v536', true],
    ['node.labels.zone > 1', false],
    ['node.labels.missing < 1', false],
    ['node.labels.disk < 1.2.3', false],
    ['node.hostname =~ ^web-[0-9]+$', true],
    ['node.hostname =~ WEB', true],
    ['node.hostname !~ ^db', true],
    ['node.hostname =~ ^db', false],
    ['node.labels.a.b-c =~ ^(1|2)$', true],
    ['node.labels.missing =~ ^$', true],
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
    ['node.ip in (10.1.2.3, nonsense)', /"nonsense" is no IP address or network \(at character 23\)/],
    ['node.ip > 10.0.0.0', /cannot be compared with node.ip by >/],
    ['node.ip =~ ^10', /cannot be compared with node.ip by =~/],
    ['node.role > worker', /cannot be compared with node.role by > \(at character 13\)/],
    ['node.resources.cpus > many', /"many" cannot be compared/],
    ['node.resources.cpus == many', /"many" is no number/],
    ['node.resources.memory =~ 16', /cannot be compared with node.resources.memory by =~/],
    ['engine.version > 12GiB', /cannot be compared with engine.version/],
    ['node.labels.zone in', /value "" is invalid \(at character 20\)/],
    ['node.labels.zone in berlin', /expected \( after in \(at character 21\)/],
    ['node.labels.zone in (berlin', /expected \) at the end/],
    ['node.labels.zone in (berlin,)', /value "" is invalid \(at character 29\)/],
    ['node.labels.zone = berlin', /expected one operator/],
    ['node.labels.zone =~ (a', /the expression has a \( without its \) \(at character 21\)/],
    ['node.labels.zone =~ a{9999}', /the expression has a \{ that does not begin/],
    ['node.labels.zone =~ (a{90}){90}', /more than 200 steps/],
    ['node.labels.zone =~ (?=a)', /of which only \(\?: is known/],
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
