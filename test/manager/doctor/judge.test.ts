/** Goal: from what nodes report follows what is wrong, at whom, and the way out. Method: reports made by hand. */
import assert from 'node:assert/strict';
import { SeededRandom } from '#common/random.ts';
import {
  NameResult,
  NetworkCheckReport,
  NetworkRepair,
  NetworkState,
  PathResult,
  ProbeKind,
  TableDigest,
  UnderlayResult,
} from '#gen/swarm/v1/doctor.ts';
import { DoctorOutcome } from '#gen/swarm/v1/node.ts';
import { Network } from '#gen/swarm/v1/objects.ts';
import { NetworkSpec } from '#gen/swarm/v1/specs.ts';
import { NETWORK_DOCTOR_DEFAULTS } from '#manager/doctor/config.ts';
import { judge } from '#manager/doctor/judge.ts';
import type { Answer } from '#manager/doctor/judge-node.ts';
import { countTested, planPairs } from '#manager/doctor/pairs.ts';
import { sameDigest } from '#proto/network-digest.ts';

const { SMALL, FULL, PARTIAL, LARGE } = ProbeKind;
const ALL = [SMALL, FULL, PARTIAL, LARGE];
const DIGEST = TableDigest.create({ peers: 2, services: 1, endpoints: 2, hash: Uint8Array.of(1) });
const UNDERLAY = UnderlayResult.create({ address: '192.0.2.2', port: 4789, answers: true, full: 1500 });

function path(peerId: string, init: Partial<PathResult> = {}): PathResult {
  return PathResult.create({ peerId, sent: ALL, answered: ALL, heard: ALL, full: 1450, roundTripUs: 300, ...init });
}

function report(state: Partial<NetworkState>, init: Partial<NetworkCheckReport> = {}): Answer {
  const networks = [NetworkState.create({ networkId: 'n1', known: true, digest: DIGEST, ...state })];
  return {
    kind: 'report',
    report: NetworkCheckReport.create({ applied: true, networks, underlayDevice: 'eth0', ...init }),
  };
}

interface Findings {
  readonly lines: readonly string[];
  readonly hints: readonly string[];
  readonly isFailure: boolean;
}

/** What is said of two nodes of the network web, as "node -> peer check outcome message". */
function judged(answers: Readonly<Record<string, Answer>>, options: { readonly hasChanged?: boolean } = {}): Findings {
  const network = Network.create({ id: 'n1', spec: NetworkSpec.create({ name: 'web' }) });
  const declared = {
    digest: DIGEST,
    hasChanged: options.hasChanged ?? false,
    isSame: (other: TableDigest) => sameDigest(DIGEST, other),
  };
  const findings = judge({
    networks: [{ network, declared, nodeIds: Object.keys(answers) }],
    isOne: false,
    answers: new Map(Object.entries(answers)),
    nameOf: (nodeId) => nodeId,
    waitedMs: 8000,
    tunnelPort: 51_820,
    findingsMax: 3,
  });
  return {
    lines: findings.map(
      ({ nodeName, peerName, check, message }) =>
        `${nodeName}${peerName === '' ? '' : ` -> ${peerName}`} ${check}: ${message}`,
    ),
    hints: findings.map(({ hint }) => hint),
    isFailure: findings.some(({ outcome }) => outcome === DoctorOutcome.FAIL),
  };
}

/** Both nodes' words about the way between them, a's first. */
function between(a: Partial<PathResult>, b: Partial<PathResult>): Findings {
  return judged({ a: report({ paths: [path('b', a)] }), b: report({ paths: [path('a', b)] }) });
}

describe('doctor: ways between nodes', () => {
  it('that are well are one line', () => {
    assert.deepEqual(between({}, {}), {
      lines: [' network: well on 2 nodes, 1 of 1 pairs tried'],
      hints: [''],
      isFailure: false,
    });
  });

  it('a blocked port is named with its direction', () => {
    const silent = { answered: [], underlay: UNDERLAY };
    const { lines, hints } = between(silent, { ...silent, heard: [] });
    assert.deepEqual(lines, [
      'a -> b path: packets to b (192.0.2.2) are lost, though it answers an echo request: UDP port 4789 is blocked on the way',
    ]);
    assert.match(hints[0] ?? '', /allow UDP port 4789 from a to b/);
  });

  it('a node that cannot be reached at all is told from both sides', () => {
    const silent = { answered: [], heard: [], underlay: UnderlayResult.create({ ...UNDERLAY, answers: false }) };
    const { lines } = between(silent, silent);
    assert.equal(lines.length, 2);
    assert.match(lines[1] ?? '', /^b -> a path: .* does not answer echo requests$/);
  });

  it('encryption that does not come about', () => {
    const silent = { answered: [], heard: [], encrypted: true };
    const { lines, hints } = between(silent, { ...silent, handshakeAgeMs: 400_000 });
    assert.deepEqual(lines, [
      'a -> b encryption: b does not agree on keys: it never did',
      'b -> a encryption: a does not agree on keys: the last time was 400 s ago',
    ]);
    assert.match(hints[0] ?? '', /UDP port 51820/);
  });

  it('a small packet size on the way is told once, with the size that passes', () => {
    const narrow = { answered: [SMALL, PARTIAL], largest: 1322, underlay: UNDERLAY };
    const { lines, hints } = between(narrow, narrow);
    assert.equal(lines.length, 1);
    assert.match(lines[0] ?? '', /^a -> b packet size: packets of 1450 bytes to b are lost, those of 1322 pass/);
    assert.match(hints[0] ?? '', /MTU of eth0 .*1372 or a little more.*driver\.mtu=1322/);
  });

  it('a device that spoils checksums is named by whoever has it', () => {
    const { lines, hints } = between({ answered: [SMALL, FULL] }, { heard: [SMALL, FULL], damaged: [PARTIAL, LARGE] });
    assert.equal(lines.length, 1);
    assert.match(lines[0] ?? '', /^a -> b checksum: packets whose checksum is left .* arrive damaged at b/);
    assert.match(hints[0] ?? '', /^on a: `ethtool -K eth0 tx-checksum-ip-generic off/);
    const large = between({ answered: [SMALL, FULL, PARTIAL] }, { heard: [SMALL, FULL, PARTIAL] });
    assert.match(large.lines[0] ?? '', /^a -> b checksum: stretches of TCP .* are lost at b/);
  });

  it('nothing that can be sent is a problem of the node itself', () => {
    const { lines } = between({ answered: [], problem: 'send packet: EMSGSIZE' }, {});
    assert.deepEqual(lines, ['a -> b path: nothing can be sent to b: send packet: EMSGSIZE']);
  });

  it('to a node that has not reported are nobody’s fault', () => {
    const { lines } = judged({ a: report({ paths: [path('b', { answered: [] })] }), b: { kind: 'late' } });
    assert.deepEqual(lines, [
      'b answer: the node did not answer within 8 s',
      ' network: well on 1 of 2 nodes, 0 of 1 pairs tried',
    ]);
  });

  it('beyond a number of findings the rest is counted', () => {
    const nodes = ['a', 'b', 'c', 'd'];
    const answers = nodes.map((node) => {
      const others = nodes.filter((other) => other !== node);
      return [node, report({ paths: others.map((other) => path(other, { answered: [], heard: [] })) })] as const;
    });
    const { lines } = judged(Object.fromEntries(answers));
    assert.equal(lines.length, 4);
    assert.match(lines[3] ?? '', /9 more findings are left out/);
  });
});

describe('doctor: nodes', () => {
  const one = (state: Partial<NetworkState>, init: Partial<NetworkCheckReport> = {}, options = {}): Findings =>
    judged({ a: report(state, init) }, options);

  it('that do not answer are named with the reason', () => {
    for (const [kind, words] of [
      ['down', /is down/],
      ['absent', /no connection to the leader/],
      ['late', /did not answer within 8 s/],
    ] as const) {
      const { lines, isFailure } = judged({ a: { kind } });
      assert.match(lines[0] ?? '', words);
      assert.ok(isFailure, kind);
    }
    const old = judged({ a: { kind: 'unable' } });
    assert.deepEqual([old.isFailure, old.hints[0]], [false, 'upgrade a']);
  });

  it('another table than declared, unless it changes just now', () => {
    const digest = TableDigest.create({ ...DIGEST, endpoints: 1, hash: Uint8Array.of(2) });
    const { lines, hints } = one({ digest });
    assert.match(
      lines[0] ?? '',
      /another table: 2 nodes, 1 services and 1 tasks, where 2 nodes, 1 services and 2 tasks/,
    );
    assert.match(hints[0] ?? '', /restart swarmd on a/);
    assert.equal(one({ digest }, {}, { hasChanged: true }).isFailure, false);
    assert.match(one({ known: false }).lines[0] ?? '', /does not know of the network/);
  });

  it('what is not applied, or otherwise in the kernel, and names that are wrong', () => {
    const name = NameResult.create({ name: 'api.web', right: false, problem: 'SERVFAIL' });
    const { lines } = one(
      { problem: 'number 4097 is in use', differences: ['route to 10.0.1.12/32'], name },
      { applied: false, problem: 'not all applied', differences: ['guard of VXLAN'] },
    );
    assert.deepEqual(lines, [
      'a applied: not all applied',
      'a kernel: not as it should be: guard of VXLAN',
      'a applied: number 4097 is in use',
      'a kernel: not as declared: route to 10.0.1.12/32',
      'a names: a task that asks for api.web gets SERVFAIL',
    ]);
  });

  it('what was repaired is told, and is no failure', () => {
    const repairs = ['network web: device vx', 'device of the mesh', 'cable', 'route'].map((what) =>
      NetworkRepair.create({ what, ageMs: 12_345 }),
    );
    const { lines, isFailure } = one({}, { repairs });
    assert.equal(
      lines[0],
      'a repaired: the node has put right network web: device vx (12 s ago), device of the mesh (12 s ago) and 2 more',
    );
    assert.equal(isFailure, false);
  });
});

describe('doctor: which ways are tried', () => {
  const nodes = (count: number): readonly string[] => Array.from({ length: count }, (_, at) => `n${at}`);
  const everybody = (): boolean => true;

  it('all of them where nodes are few', () => {
    const plan = planPairs([{ networkId: 'n1', nodeIds: nodes(5) }], new SeededRandom(1), NETWORK_DOCTOR_DEFAULTS);
    assert.deepEqual([plan.pairs, countTested(plan, everybody)], [10, 10]);
    for (const [nodeId, peers] of plan.peers.get('n1') ?? []) {
      assert.equal(new Set(peers).size, 4);
      assert.ok(!peers.includes(nodeId));
    }
    assert.equal(
      countTested(plan, (nodeId) => nodeId !== 'n0'),
      6,
      'both ends count',
    );
  });

  it('some of them where nodes are many, others each time, the same number to and from each', () => {
    const plans = [1, 2].map((seed) =>
      planPairs([{ networkId: 'n1', nodeIds: nodes(1000) }], new SeededRandom(seed), NETWORK_DOCTOR_DEFAULTS),
    );
    const [first, second] = plans.map(({ peers }) => peers.get('n1')?.get('n7') ?? []);
    assert.equal(first?.length, 16);
    assert.notDeepEqual(first, second);
    const towards = new Map<string, number>();
    for (const peers of plans[0]?.peers.get('n1')?.values() ?? [])
      for (const peer of peers) towards.set(peer, (towards.get(peer) ?? 0) + 1);
    assert.deepEqual(new Set(towards.values()), new Set([16]));
  });

  it('no node sends more than it may, over all networks', () => {
    const networks = Array.from({ length: 200 }, (_, at) => ({ networkId: `n${at}`, nodeIds: nodes(30) }));
    const { peers, pairs } = planPairs(networks, new SeededRandom(1), NETWORK_DOCTOR_DEFAULTS);
    assert.equal(peers.size, NETWORK_DOCTOR_DEFAULTS.probedNetworksMax);
    assert.equal(pairs, 200 * 435);
    let sent = 0;
    for (const plan of peers.values()) sent += plan.get('n3')?.length ?? 0;
    assert.ok(sent > 0 && sent <= NETWORK_DOCTOR_DEFAULTS.pathsPerNodeMax, `${sent}`);
  });
});
