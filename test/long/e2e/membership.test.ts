/**
 * Goal: promote, demote, remove, leave and rejoin in any order, with daemons that are killed meanwhile, leave a swarm with
 * a quorum, no ghost and no node with two roles. Method: 20 seeded steps on a lab of real daemons.
 */
import assert from 'node:assert/strict';
import { randomInt, SeededRandom } from '#common/random.ts';
import { NodeState } from '#gen/swarm/v1/objects.ts';
import { NodeRole } from '#gen/swarm/v1/specs.ts';
import { SOON_MS } from '#test/e2e/support/cluster.ts';
import { NEW_LEADER_MS, useManagers } from '#test/e2e/support/managers.ts';

const STEPS = 20;
const SEED = Number(process.env['STARLING_SEED'] ?? 1);

describe('e2e: nodes that come and go', function () {
  this.timeout(900_000);
  const managers = useManagers(this, { managers: 3, workers: 3 });
  const cluster = () => managers().cluster;
  const random = new SeededRandom(SEED);
  const pick = <T>(from: readonly T[]): T | undefined => from[randomInt(random, Math.max(1, from.length))];

  const hosts = (): readonly string[] => cluster().lab.hosts.map(({ name }) => name);
  /** Hosts that are in no swarm at the moment. */
  const outside = new Set<string>();
  const killed = new Set<string>();

  /** Names of nodes by the role that they have, as a manager sees them that answers. */
  const roles = async (): Promise<ReadonlyMap<string, NodeRole>> => {
    const leader = await managers().leader(hosts().filter((name) => !outside.has(name) && !killed.has(name)));
    cluster().entrance = leader;
    return new Map([...(await cluster().nodes())].map(([name, { role }]) => [name, role]));
  };
  const of = (all: ReadonlyMap<string, NodeRole>, role: NodeRole): readonly string[] =>
    [...all].filter(([name, has]) => has === role && !killed.has(name) && !outside.has(name)).map(([name]) => name);

  const revive = async (): Promise<void> => {
    for (const name of killed) await cluster().lab.start(name);
    killed.clear();
  };

  const step = async (): Promise<string> => {
    const all = await roles();
    const voters = of(all, NodeRole.MANAGER);
    const workers = of(all, NodeRole.WORKER);
    const victim = pick(voters.filter((name) => name !== cluster().entrance));
    switch (randomInt(random, 6)) {
      case 0: {
        const worker = pick(workers);
        if (worker === undefined || voters.length >= 5) return 'nobody to promote';
        await cluster().must(['node', 'promote', worker]);
        return `promote ${worker}`;
      }
      case 1: {
        const manager = pick(voters);
        if (manager === undefined || voters.length <= 3 || killed.size > 0) return 'nobody to demote';
        await cluster().must(['node', 'demote', manager]);
        return `demote ${manager}`;
      }
      case 2: {
        const name = pick(workers) ?? (voters.length > 3 && killed.size === 0 ? victim : undefined);
        if (name === undefined) return 'nobody to leave';
        await cluster().mustOn(name, ['leave', '--force']);
        outside.add(name);
        return `${name} leaves`;
      }
      case 3: {
        const worker = pick(workers);
        if (worker === undefined) return 'nobody to remove';
        assert.match(await cluster().refused(['node', 'rm', cluster().entrance]), /must be demoted/);
        await cluster().must(['node', 'rm', '--force', worker]);
        outside.add(worker);
        await cluster().until(
          async () => (await cluster().mustOn(worker, ['info'])).includes('Swarm: inactive'),
          (isInactive) => isInactive,
          `${worker} to hear that it was removed`,
          SOON_MS,
        );
        return `rm ${worker}`;
      }
      case 4: {
        const [name] = outside;
        if (name === undefined) return 'nobody to join';
        await managers().joinAs(randomInt(random, 2) === 0 ? 'manager' : 'worker', name, cluster().entrance);
        outside.delete(name);
        return `${name} joins again`;
      }
      default: {
        if (killed.size > 0) {
          await revive();
          return 'all are back';
        }
        if (victim === undefined || voters.length < 3) return 'nobody to kill';
        await cluster().lab.killDaemon(victim);
        killed.add(victim);
        return `${victim} dies`;
      }
    }
  };

  it(`${STEPS} steps of seed ${SEED}`, async () => {
    await managers().formed();
    const before = new Map([...(await cluster().nodes())].map(([name, { id }]) => [name, id]));
    const told: string[] = [];
    try {
      for (let count = 0; count < STEPS; count++) told.push(await step());
      await revive();
      const all = await roles();
      await managers().formed(of(all, NodeRole.MANAGER), 4 * NEW_LEADER_MS);
      for (const name of hosts()) {
        if (outside.has(name)) continue;
        await cluster().nodeState(name, NodeState.READY, 2 * NEW_LEADER_MS);
      }
      const nodes = await cluster().nodes();
      assert.deepEqual(
        [...nodes.keys()].sort(),
        hosts()
          .filter((name) => !outside.has(name))
          .sort(),
      );
      for (const [name, { id, role, spec, managerStatus }] of nodes) {
        assert.equal(id, before.get(name), `${name} is the node that it was`);
        assert.equal(role, spec?.desiredRole, `${name} has the role that it should have`);
        assert.equal(managerStatus !== undefined, role === NodeRole.MANAGER, `${name} in the log`);
        const isManager = (await cluster().mustOn(name, ['info'])).includes('Is Manager: true');
        assert.equal(isManager, role === NodeRole.MANAGER, `${name} itself`);
      }
    } catch (thrown) {
      throw new Error(`after: ${told.join(', ')}`, { cause: thrown });
    }
  });
});
