/** Goal: certificate, manager part and log end up as the role wants them, whatever fails on the way. Method: each failure. */
import assert from 'node:assert/strict';
import type { NodeRoleName } from '#certs/identity.ts';
import { ManualClock } from '#common/clock.ts';
import { SwarmError } from '#common/errors.ts';
import { silentLogger } from '#common/log.ts';
import { SeededRandom } from '#common/random.ts';
import { Node } from '#gen/swarm/v1/objects.ts';
import { NodeRole } from '#gen/swarm/v1/specs.ts';
import { DAEMON_CONFIG } from '#src/swarmd/config.ts';
import { RoleChange } from '#src/swarmd/role-change.ts';

const AGAIN_MS = 20_000;

describe('swarmd: the node follows its role', () => {
  let clock: ManualClock;
  let told: NodeRoleName | undefined;
  let role: NodeRoleName;
  /** What managers issue; undefined: what was told. */
  let issued: NodeRoleName | undefined;
  let hasManager: boolean;
  let hasLog: boolean;
  let isActive: boolean;
  /** Steps that fail, once for each time that they are named. */
  let failing: string[];
  let steps: string[];
  let change: RoleChange;

  function step(name: string): void {
    steps.push(name);
    const at = failing.indexOf(name);
    if (at < 0) return;
    failing.splice(at, 1);
    throw new SwarmError({ code: 'unavailable', reason: 'connection-failed', message: `${name} fails` });
  }

  function begin(as: NodeRoleName): void {
    clock = new ManualClock();
    [told, role, issued, isActive, failing, steps] = [as, as, undefined, true, [], []];
    hasManager = hasLog = as === 'manager';
    change = new RoleChange({
      isActive: () => isActive,
      told: () => told && Node.create({ role: told === 'manager' ? NodeRole.MANAGER : NodeRole.WORKER }),
      role: () => role,
      renew: async () => {
        step('renew');
        role = issued ?? told ?? role;
      },
      hasManager: () => hasManager,
      startManager: () => {
        step('start');
        hasManager = hasLog = true;
      },
      stopManager: async () => {
        if (!hasManager) return;
        // As the manager part: it is none any more also when its end fails.
        hasManager = false;
        step('stop');
      },
      forgetLog: async () => {
        step('forget');
        hasLog = false;
      },
      turn: (run) => run(),
      retry: DAEMON_CONFIG.roleRetry,
      clock,
      random: new SeededRandom(1),
      logger: silentLogger,
    });
  }

  /** Until nothing happens any more at this moment. */
  async function settle(): Promise<void> {
    for (let turns = 0; turns < 20; turns++) await new Promise((resolve) => setImmediate(resolve));
  }

  async function tell(as: NodeRoleName | undefined): Promise<void> {
    told = as;
    change.look();
    await settle();
  }

  const isWorker = (): void => assert.deepEqual([role, hasManager, hasLog], ['worker', false, false]);

  it('a promotion: certificate, then manager part', async () => {
    begin('worker');
    await tell('manager');
    assert.deepEqual([steps, role, hasManager], [['renew', 'start'], 'manager', true]);
  });

  it('nothing happens to who has its role, or was told none yet', async () => {
    begin('manager');
    await tell('manager');
    await tell(undefined);
    assert.deepEqual(steps, []);
  });

  for (const failure of [['renew', 'renew'], ['stop'], ['forget'], ['stop', 'forget', 'forget']])
    it(`a demotion in which ${failure.join(', ')} fails comes to its end`, async () => {
      begin('manager');
      failing = [...failure];
      await tell('worker');
      for (let attempt = 0; attempt < failure.length; attempt++) {
        assert.notEqual(clock.nextDue(), undefined, 'it is tried again');
        clock.advance(AGAIN_MS);
        await settle();
      }
      isWorker();
      assert.equal(clock.nextDue(), undefined);
    });

  it('a certificate that was renewed for its time has brought the role before it was told', async () => {
    begin('manager');
    role = 'worker';
    await tell('worker');
    isWorker();
    role = 'manager';
    await tell('manager');
    assert.deepEqual([hasManager, steps.includes('renew')], [true, false]);
  });

  it('who is promoted again before it was demoted joins the log anew', async () => {
    begin('manager');
    issued = 'manager';
    await tell('worker');
    assert.deepEqual(steps, ['renew', 'stop', 'forget', 'start']);
  });

  it('a certificate without the new role is asked for again', async () => {
    begin('worker');
    issued = 'worker';
    await tell('manager');
    assert.equal(hasManager, false);
    issued = undefined;
    clock.advance(AGAIN_MS);
    await settle();
    assert.equal(hasManager, true);
  });

  it('what is told meanwhile is followed afterwards', async () => {
    begin('worker');
    told = 'manager';
    change.look();
    told = 'worker';
    change.look();
    await settle();
    assert.equal(role, 'worker');
    assert.equal(hasManager, false);
  });

  it('who has left does not try again', async () => {
    begin('worker');
    failing = ['renew'];
    told = 'manager';
    change.look();
    isActive = false;
    await settle();
    assert.equal(clock.nextDue(), undefined);
  });
});
