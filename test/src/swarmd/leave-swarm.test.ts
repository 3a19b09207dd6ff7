/** Goal: who leaves without an answer is told commands that the managers accept. Method: each role, each answer. */
import assert from 'node:assert/strict';
import { SwarmError } from '#common/errors.ts';
import { ghostWarning } from '#src/swarmd/leave-swarm.ts';

describe('swarmd: leaving without an answer', () => {
  const silent = new SwarmError({ code: 'unavailable', reason: 'no-quorum', message: 'nobody answers' });
  const inUse = new SwarmError({ code: 'precondition', reason: 'in-use', message: 'it is a manager' });

  for (const [role, error, commands] of [
    ['worker', silent, 'run `swarm node rm n1` on a manager'],
    ['worker', inUse, 'run `swarm node demote n1`, then `swarm node rm n1` on a manager'],
    ['manager', silent, 'run `swarm node demote n1`, then `swarm node rm n1` on a manager'],
  ] as const)
    it(`a ${role} that was told "${error.message}" says how its entry goes`, () => {
      const warning = ghostWarning({ nodeId: 'n1', role }, error);
      assert.equal(warning, `the managers could not be told that this node has left (${error.message}): ${commands}`);
    });
});
