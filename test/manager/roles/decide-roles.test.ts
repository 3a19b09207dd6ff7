/** The decisions about roles: each by itself, and whether taking them one by one, with crashes, ends where it should. */
import assert from 'node:assert/strict';
import fc from 'fast-check';
import { Node } from '#gen/swarm/v1/objects.ts';
import { NodeRole, NodeSpec } from '#gen/swarm/v1/specs.ts';
import { decideRoles, featureLevelOf, type RoleMember, type RoleStep } from '#manager/roles/index.ts';

const { MANAGER, WORKER } = NodeRole;

function node(id: string, role: NodeRole, desiredRole: NodeRole): Node {
  return Node.create({ id, role, spec: NodeSpec.create({ desiredRole }) });
}

function member(nodeId: string, more: Partial<RoleMember> = {}): RoleMember {
  return { raftId: nodeId.charCodeAt(0), nodeId, voter: true, reachable: true, self: false, ...more };
}

describe('decisions about roles', () => {
  it('does nothing when roles and members agree', () => {
    const decision = decideRoles({
      nodes: [node('a', MANAGER, MANAGER), node('b', MANAGER, MANAGER), node('w', WORKER, WORKER)],
      members: [member('a', { self: true }), member('b')],
    });
    assert.deepEqual(decision.steps, []);
    assert.equal(decision.waiting.size, 0);
  });

  it('promotes by the role alone: the node joins the log itself', () => {
    const { steps } = decideRoles({
      nodes: [node('a', MANAGER, MANAGER), node('w', WORKER, MANAGER)],
      members: [member('a', { self: true })],
    });
    assert.deepEqual(steps, [{ kind: 'set-role', nodeId: 'w', role: MANAGER }]);
  });

  it('does not promote a node that is a member of an earlier time: it is removed first', () => {
    const { steps } = decideRoles({
      nodes: [node('a', MANAGER, MANAGER), node('b', MANAGER, MANAGER), node('w', WORKER, MANAGER)],
      members: [member('a', { self: true }), member('b'), member('w')],
    });
    assert.deepEqual(steps, [{ kind: 'remove-member', raftId: 119, nodeId: 'w', why: 'its node is a worker' }]);
  });

  it('takes a demoted manager out of the log before it becomes a worker', () => {
    const nodes = [node('a', MANAGER, MANAGER), node('b', MANAGER, WORKER)];
    const first = decideRoles({ nodes, members: [member('a', { self: true }), member('b')] });
    assert.deepEqual(
      first.steps.map(({ kind }) => kind),
      ['remove-member'],
    );
    const then = decideRoles({ nodes, members: [member('a', { self: true })] });
    assert.deepEqual(then.steps, [{ kind: 'set-role', nodeId: 'b', role: WORKER }]);
  });

  it('hands over the lead when the leader is demoted, and waits when nobody could take it', () => {
    const nodes = [node('a', MANAGER, WORKER), node('b', MANAGER, MANAGER)];
    const self = member('a', { self: true });
    assert.deepEqual(decideRoles({ nodes, members: [self, member('b')] }).steps, [{ kind: 'hand-over', nodeId: 'a' }]);
    const alone = decideRoles({ nodes, members: [self, member('b', { reachable: false })] });
    assert.deepEqual(alone.steps, []);
    assert.match(alone.waiting.get('a') ?? '', /no other manager can be reached/);
    assert.match(decideRoles({ nodes, members: [self] }).waiting.get('a') ?? '', /the last manager/);
    const learner = decideRoles({ nodes, members: [self, member('b', { voter: false })] });
    assert.match(learner.waiting.get('a') ?? '', /the last manager/);
  });

  it('never removes a voter when those that stay and are reachable would be no quorum of those that stay', () => {
    const nodes = [
      node('a', MANAGER, MANAGER),
      node('b', MANAGER, WORKER),
      node('c', MANAGER, MANAGER),
      node('d', MANAGER, MANAGER),
    ];
    const members = [member('a', { self: true }), member('b'), member('c', { reachable: false }), member('d')];
    assert.equal(decideRoles({ nodes, members }).steps[0]?.kind, 'remove-member');
    const worse = members.map((one) => (one.nodeId === 'd' ? { ...one, reachable: false } : one));
    const decision = decideRoles({ nodes, members: worse });
    assert.deepEqual(decision.steps, []);
    assert.equal(decision.waiting.get('b'), 'of the 3 managers that would stay, 1 can be reached and 2 are needed');
  });

  it('removes a learner whenever it has to go, and members whose node is gone', () => {
    const nodes = [node('a', MANAGER, MANAGER), node('b', MANAGER, WORKER)];
    const members = [member('a', { self: true }), member('b', { voter: false, reachable: false }), member('x')];
    assert.deepEqual(
      decideRoles({ nodes, members }).steps.map((step) => step.nodeId),
      ['b', 'x'],
    );
  });

  it('raises the feature level to what all have, and never lowers it', () => {
    assert.equal(featureLevelOf(1, [{ featureLevel: 2 }, { featureLevel: 3 }]), 2);
    assert.equal(featureLevelOf(1, [{ featureLevel: 2 }, { featureLevel: 1 }]), 1);
    assert.equal(featureLevelOf(3, [{ featureLevel: 2 }]), 3);
    assert.equal(featureLevelOf(2, []), 2);
  });
});

/** Five hosts, of which any may be told to be a manager or a worker at any time, and any may die and come back. */
class Model {
  readonly roles = new Map<string, { role: NodeRole; desired: NodeRole }>();
  readonly alive = new Map<string, boolean>();
  /** What the node's own disk says: it joins when it is told to be a manager, and forgets when it is a worker. */
  voters: string[] = ['a', 'b', 'c'];
  leader = 'a';

  constructor() {
    for (const id of ['a', 'b', 'c', 'd', 'e']) {
      const role = this.voters.includes(id) ? MANAGER : WORKER;
      this.roles.set(id, { role, desired: role });
      this.alive.set(id, true);
    }
  }

  hasQuorum(): boolean {
    return this.voters.filter((id) => this.alive.get(id)).length > this.voters.length / 2;
  }

  desire(id: string, desired: NodeRole): void {
    const managers = [...this.roles.values()].filter((one) => one.desired === MANAGER).length;
    const entry = this.roles.get(id);
    // As the control API does: the last manager is not demoted.
    if (entry === undefined || (desired === WORKER && managers <= 1)) return;
    entry.desired = desired;
  }

  /** One step of the leader; then nodes follow their role. Returns whether there was one. */
  step(dies: boolean): boolean {
    if (!this.hasQuorum()) return false;
    if (this.alive.get(this.leader) !== true || !this.voters.includes(this.leader)) this.elect();
    const { steps } = decideRoles({
      nodes: [...this.roles].map(([id, { role, desired }]) => node(id, role, desired)),
      members: this.voters.map((id) =>
        member(id, { self: id === this.leader, reachable: this.alive.get(id) === true }),
      ),
    });
    const [step] = steps;
    if (step !== undefined) this.take(step);
    // A leader that dies right after a step: another goes on.
    if (dies) this.elect();
    let joined = false;
    for (const [id, { role, desired }] of this.roles)
      if (role === MANAGER && desired === MANAGER && this.alive.get(id) && !this.voters.includes(id)) {
        this.voters.push(id);
        joined = true;
      }
    return step !== undefined || joined;
  }

  take(step: RoleStep): void {
    const entry = this.roles.get(step.nodeId);
    switch (step.kind) {
      case 'set-role':
        assert.ok(entry !== undefined);
        entry.role = step.role;
        return;
      case 'remove-member':
        this.voters = this.voters.filter((id) => id !== step.nodeId);
        assert.ok(this.voters.length > 0, 'a voter is left');
        assert.ok(this.hasQuorum(), 'those that stay are a quorum');
        return;
      case 'hand-over':
        this.elect();
        return;
    }
  }

  elect(): void {
    const others = this.voters.filter((id) => this.alive.get(id) === true && id !== this.leader);
    this.leader = others[0] ?? this.voters.find((id) => this.alive.get(id) === true) ?? this.leader;
  }
}

const ids = fc.constantFrom('a', 'b', 'c', 'd', 'e');
const event = fc.oneof(
  fc.record({ kind: fc.constant('desire' as const), id: ids, role: fc.constantFrom(MANAGER, WORKER) }),
  fc.record({ kind: fc.constant('alive' as const), id: ids, alive: fc.boolean() }),
  fc.record({ kind: fc.constant('step' as const), dies: fc.boolean() }),
);

describe('roles and members of a cluster that changes and dies', () => {
  it('never loses its quorum to a removal, and ends with what was wanted once all are back', () => {
    fc.assert(
      fc.property(fc.array(event, { maxLength: 40 }), (events) => {
        const model = new Model();
        for (const one of events) {
          if (one.kind === 'desire') model.desire(one.id, one.role);
          else if (one.kind === 'alive') model.alive.set(one.id, one.alive);
          else model.step(one.dies);
        }
        for (const id of model.alive.keys()) model.alive.set(id, true);
        let steps = 0;
        while (model.step(false)) assert.ok(++steps < 50, 'it ends');
        for (const [id, { role, desired }] of model.roles) {
          assert.equal(role, desired, `the role of ${id}`);
          assert.equal(model.voters.includes(id), desired === MANAGER, `the membership of ${id}`);
        }
      }),
      { numRuns: 500 },
    );
  });
});
