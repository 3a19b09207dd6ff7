/** Which nodes the swarm gives up by itself, one after the other, and when it does not. */
import assert from 'node:assert/strict';
import fc from 'fast-check';
import { EngineDescription, Node, NodeDescription, NodeState, NodeStatus } from '#gen/swarm/v1/objects.ts';
import { NodeRole, NodeSpec } from '#gen/swarm/v1/specs.ts';
import { type CleanupFacts, type CleanupSettings, decideCleanup, Presence } from '#manager/membership/index.ts';
import type { RoleMember } from '#manager/roles/index.ts';

const { MANAGER, WORKER } = NodeRole;
const { DOWN, READY, UNKNOWN } = NodeState;
const WALL_MS = 1_900_000_000_000;
const HOUR_MS = 3_600_000;

const SETTINGS: CleanupSettings = {
  pruneDownAfterMs: HOUR_MS,
  cleanupDeadManagers: true,
  deadManagerAfterMs: 600_000,
  stableMs: 10_000,
  pruneSeenMs: 60_000,
};

interface NodeInit {
  readonly role?: NodeRole;
  readonly desiredRole?: NodeRole;
  readonly state?: NodeState;
  readonly downForMs?: number;
  readonly cleanedUp?: boolean;
  readonly neverConnected?: boolean;
}

function node(id: string, init: NodeInit = {}): Node {
  const { role = WORKER, desiredRole = role, state = READY, downForMs = 0, cleanedUp = false } = init;
  return Node.create({
    id,
    role,
    cleanedUp,
    spec: NodeSpec.create({ desiredRole }),
    status: NodeStatus.create({ state, sinceMs: WALL_MS - downForMs }),
    description: NodeDescription.create(init.neverConnected === true ? {} : { engine: EngineDescription.create() }),
  });
}

function member(nodeId: string, change: Partial<RoleMember> = {}): RoleMember {
  const raftId = nodeId.charCodeAt(0);
  return { raftId, nodeId, voter: true, reachable: true, self: nodeId === 'a', ...change };
}

/** What a leader knows that has looked at this for so long without a change. */
function facts(
  nodes: readonly Node[],
  members: readonly RoleMember[] = [member('a')],
  forMs = 10 * HOUR_MS,
  settings: Partial<CleanupSettings> = {},
  mayStillRun = false,
): CleanupFacts {
  const presence = new Presence(0);
  presence.look(nodes, members, 0);
  return {
    nodes,
    members,
    settings: { ...SETTINGS, ...settings },
    seen: presence.seen(forMs),
    mayStillRun: () => mayStillRun,
    nowMs: WALL_MS,
  };
}

function step(...args: Parameters<typeof facts>): string {
  const decided = decideCleanup(facts(...args));
  return decided === undefined ? 'nothing' : `${decided.kind} ${decided.node.id}`;
}

const dead = (id: string): Node => node(id, { role: MANAGER, state: DOWN, downForMs: HOUR_MS });
const alive = (id: string): Node => node(id, { role: MANAGER });

describe('cleanup: workers', () => {
  it('that were down for longer than the limit go; others stay', () => {
    assert.equal(step([node('w', { state: DOWN, downForMs: HOUR_MS })]), 'prune w');
    assert.equal(step([node('w', { state: DOWN, downForMs: HOUR_MS - 1 })]), 'nothing');
    assert.equal(step([node('w', { state: READY, downForMs: HOUR_MS })]), 'nothing');
    assert.equal(step([node('w', { state: NodeState.DISCONNECTED, downForMs: HOUR_MS })]), 'nothing');
  });

  it('stay for ever where no limit is set', () => {
    const lost = [node('w', { state: DOWN, downForMs: 1000 * HOUR_MS })];
    assert.equal(step(lost, undefined, undefined, { pruneDownAfterMs: undefined }), 'nothing');
  });

  it('that were admitted and never heard of go, too; those of an earlier leader are waited for', () => {
    assert.equal(step([node('w', { state: UNKNOWN, downForMs: HOUR_MS, neverConnected: true })]), 'prune w');
    assert.equal(step([node('w', { state: UNKNOWN, downForMs: HOUR_MS })]), 'nothing');
  });

  it('are missed by this leader first: the wall clock may have jumped', () => {
    const lost = [node('w', { state: DOWN, downForMs: 1000 * HOUR_MS })];
    assert.equal(step(lost, undefined, 59_999), 'nothing');
    assert.equal(step(lost, undefined, 60_000), 'prune w');
  });

  it('stay as long as they may run what must not run twice', () => {
    const lost = [node('w', { state: DOWN, downForMs: HOUR_MS })];
    assert.equal(step(lost, undefined, undefined, {}, true), 'nothing');
    assert.equal(step(lost, undefined, undefined, {}, false), 'prune w');
  });

  it('are no managers: neither those that are, nor those that are to be, nor members of the log', () => {
    const away = { state: DOWN, downForMs: 10 * HOUR_MS };
    assert.equal(step([node('b', { role: MANAGER, ...away })]), 'nothing');
    assert.equal(step([node('b', { role: WORKER, desiredRole: MANAGER, ...away })]), 'nothing');
    assert.equal(step([node('b', { role: MANAGER, desiredRole: WORKER, ...away })]), 'nothing');
    assert.equal(step([node('b', { role: WORKER, ...away })], [member('a'), member('b')]), 'nothing');
  });
});

describe('cleanup: managers', () => {
  const three = [member('a'), member('b'), member('c', { reachable: false })];

  it('that cannot be reached for longer than the limit are demoted, then removed', () => {
    const nodes = [alive('a'), alive('b'), dead('c')];
    assert.equal(step(nodes, three, 600_000), 'demote c');
    assert.equal(step(nodes, three, 599_999), 'nothing');
    const marked = { role: MANAGER, desiredRole: WORKER, state: DOWN, cleanedUp: true };
    assert.equal(step([alive('a'), alive('b'), node('c', marked)], three), 'nothing');
    const demoted = { ...marked, role: WORKER };
    assert.equal(step([alive('a'), alive('b'), node('c', demoted)], three), 'nothing', 'it is a member still');
    assert.equal(step([alive('a'), alive('b'), node('c', demoted)], [member('a'), member('b')]), 'remove c');
  });

  it('stay where nobody asked for it, but what was begun is finished', () => {
    const off = { cleanupDeadManagers: false };
    assert.equal(step([alive('a'), alive('b'), dead('c')], three, undefined, off), 'nothing');
    const begun = node('c', { role: WORKER, state: DOWN, cleanedUp: true });
    assert.equal(step([alive('a'), begun], [member('a')], undefined, off), 'remove c');
  });

  it('are removed when this leader has missed them, and they run nothing that must not run twice', () => {
    const marked = { role: WORKER, desiredRole: WORKER, cleanedUp: true };
    const away = [alive('a'), node('c', { ...marked, state: DOWN })];
    assert.equal(step(away, [member('a')], 59_999), 'nothing');
    assert.equal(step(away, [member('a')], 60_000), 'remove c');
    assert.equal(step(away, [member('a')], 20_000, { deadManagerAfterMs: 20_000 }), 'remove c');
    assert.equal(step(away, [member('a')], undefined, {}, true), 'nothing');
    // The leader of before has heard of it, this one not yet.
    assert.equal(step([alive('a'), node('c', { ...marked, state: UNKNOWN })], [member('a')]), 'nothing');
    assert.equal(step([alive('a'), node('c', { ...marked, state: NodeState.DISCONNECTED })], [member('a')]), 'nothing');
  });

  it('wait for no other one whose entry alone is left', () => {
    const left = node('d', { role: WORKER, state: DOWN, cleanedUp: true });
    const nodes = [alive('a'), alive('b'), dead('c'), left];
    assert.equal(step(nodes, three, undefined, {}, true), 'demote c');
  });

  it('that are heard of stay, and become managers again', () => {
    const marked = { role: WORKER, desiredRole: WORKER, cleanedUp: true };
    assert.equal(step([alive('a'), node('c', { ...marked, state: READY })]), 'spare c');
    const reachable = [member('a'), member('b'), member('c')];
    assert.equal(step([alive('a'), node('c', { ...marked, role: MANAGER, state: DOWN })], reachable), 'spare c');
    assert.equal(step([alive('a'), node('c', { ...marked, desiredRole: MANAGER, state: DOWN })]), 'spare c');
  });

  it('whose agent is heard of are cut off, not dead', () => {
    assert.equal(step([alive('a'), alive('b'), alive('c')], three), 'nothing');
  });

  it('go one at a time', () => {
    const five = ['a', 'b', 'c'].map((id) => member(id));
    const lost = [member('d', { reachable: false }), member('e', { reachable: false })];
    const nodes = [alive('a'), alive('b'), alive('c'), dead('d'), dead('e')];
    assert.equal(step(nodes, [...five, ...lost]), 'demote d');
    const begun = [
      ...nodes.slice(0, 3),
      { ...dead('d'), cleanedUp: true, spec: NodeSpec.create({ desiredRole: WORKER }) },
    ];
    assert.equal(step([...begun, dead('e')], [...five, ...lost]), 'nothing');
  });

  it('do not go as long as the others are not stable', () => {
    const nodes = [alive('a'), alive('b'), dead('c')];
    const presence = new Presence(0);
    presence.look(nodes, three, 0);
    presence.look(nodes, [member('a'), member('b', { reachable: false }), three[2] ?? member('c')], 700_000);
    presence.look(nodes, three, 700_100);
    const at = (nowMs: number): unknown => decideCleanup({ ...facts(nodes, three), seen: presence.seen(nowMs) })?.kind;
    assert.equal(at(710_099), undefined);
    assert.equal(at(710_100), 'demote');
  });

  it('never leave fewer than a quorum that can be reached, and never this leader', () => {
    const roles = fc.record({ voter: fc.boolean(), reachable: fc.boolean(), isDead: fc.boolean() });
    fc.assert(
      fc.property(fc.array(roles, { minLength: 0, maxLength: 6 }), (others) => {
        const ids = others.map((_, index) => String.fromCharCode(98 + index));
        const members = [member('a'), ...others.map((other, index) => member(ids[index] ?? '', other))];
        const nodes = [alive('a'), ...others.map(({ isDead }, index) => (isDead ? dead : alive)(ids[index] ?? ''))];
        const decided = decideCleanup(facts(nodes, members));
        if (decided === undefined) return;
        assert.equal(decided.kind, 'demote');
        assert.notEqual(decided.node.id, 'a');
        const gone = members.find(({ nodeId }) => nodeId === decided.node.id);
        assert.equal(gone?.reachable, false);
        if (gone.voter !== true) return;
        const staying = members.filter(({ voter, nodeId }) => voter && nodeId !== decided.node.id);
        const reachable = staying.filter((one) => one.reachable).length;
        assert.ok(reachable > staying.length / 2, `${reachable} of ${staying.length} can be reached`);
      }),
    );
  });
});
