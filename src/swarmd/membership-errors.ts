/** What a user is told when a transition of the membership is refused, or has gone only half way. */
import type { LoadedIdentity } from '#agent/identity/index.ts';
import { SwarmError } from '#common/errors.ts';
import type { MembershipState } from './membership-state.ts';

/** The host is a member, but one of its parts does not work. */
export function joinedWithout(error: SwarmError, part: 'manager' | 'agent'): SwarmError {
  return new SwarmError({
    code: error.code,
    reason: error.reason,
    message:
      part === 'manager'
        ? `this node has joined the swarm, but does not serve as a manager yet: ${error.message}`
        : `this node has joined, but cannot take part: ${error.message}`,
    hint:
      part === 'manager'
        ? `${error.hint ?? 'mend that'}; it goes on trying (see \`swarm info\`), or give up with: swarm leave --force`
        : `${error.hint ?? 'mend that'}; ${error.reason === 'disk-full' ? 'or' : 'then restart swarmd, or'} give up with: swarm leave --force`,
    cause: error,
  });
}

/** The first manager of a swarm that is there on the disk, and not up yet. */
export function foundedSlowly(problem: SwarmError): string {
  return `the manager of this node is not up yet (${problem.message}): it goes on in the background, and \`swarm info\` shows when it is done`;
}

export function alreadyInSwarm(): SwarmError {
  return new SwarmError({
    code: 'unavailable',
    reason: 'already-in-swarm',
    message: 'This node is already part of a swarm. Use "swarm leave" to leave this swarm and join another one.',
  });
}

/** Who waits for the host to be in no swarm any more has to wait a little longer. */
export function stillLeaving(error: SwarmError | undefined): SwarmError {
  return new SwarmError({
    code: 'unavailable',
    reason: 'already-in-swarm',
    message: `this node is still leaving its swarm${error === undefined ? '' : `: ${error.message}`}`,
    hint: 'it goes on by itself: `swarm info` shows when it is done',
  });
}

/** The swarm is left, and something on this host is in the way of forgetting it. */
export function leavingGoesOn(error: SwarmError): SwarmError {
  return new SwarmError({
    code: error.code,
    reason: error.reason,
    message: `this node leaves the swarm, but what it has of it could not be removed yet: ${error.message}`,
    hint: `${error.hint ?? 'mend that'}; it goes on trying by itself, and \`swarm info\` shows when it is done`,
    cause: error,
  });
}

/** Two hosts with one identity would take each other's tasks. */
export function refuseClone(identity: LoadedIdentity): void {
  if (identity.home.kind !== 'other-machine') return;
  throw new SwarmError({
    code: 'precondition',
    reason: 'corrupt-state',
    message: `the state directory belongs to another machine: ${identity.home.message}`,
    hint: 'on a clone: `swarm leave --force`, then join with a token',
  });
}

/** What is told to who needs the manager of a node that cannot take part in its swarm. */
export function cannotServe(error: SwarmError): SwarmError {
  return new SwarmError({
    code: 'unavailable',
    reason: 'not-a-manager',
    message: `this node cannot take part in its swarm: ${error.message}`,
    hint: error.hint ?? 'see `swarm info`',
    cause: error,
  });
}

/** Why the node may not leave; undefined when it may. */
export function leaveRefusal(state: MembershipState, force: boolean): SwarmError | undefined {
  if (state.kind === 'inactive')
    return new SwarmError({
      code: 'precondition',
      reason: 'not-in-swarm',
      message: 'This node is not part of a swarm',
      hint: 'use `swarm init` or `swarm join`',
    });
  if (force) return undefined;
  if (state.kind === 'active' && state.managerPart !== undefined) {
    const last = state.otherManagers().length === 0;
    return needsForce(
      `You are attempting to leave the swarm on a node that is participating as a manager. ${
        last
          ? 'Removing the last manager erases all current state of the swarm.'
          : 'The others go on without it, and need more than half of their number to be online.'
      } Use \`--force\` to ignore this message.`,
      last ? 'add --force to end the swarm' : 'demote it first (`swarm node demote self`), or add --force',
    );
  }
  if (state.kind === 'locked')
    return needsForce(
      'this manager is locked: its keys are encrypted',
      'run `swarm unlock` first, or add --force to forget the swarm on this node; remove the node on another manager too',
    );
  if (state.kind === 'error')
    return needsForce(
      `this node cannot reach its swarm properly: ${state.error.message}`,
      'add --force to leave it all the same; you are told what to do on a manager, if anything',
    );
  return undefined;
}

/** Why this host cannot go on as the only manager. */
export function notForcible(state: MembershipState): SwarmError {
  switch (state.kind) {
    case 'error':
    case 'locked':
      return state.error;
    case 'active':
      return new SwarmError({
        code: 'precondition',
        reason: 'not-a-manager',
        message: 'This node is a worker: it has no state of the swarm to go on with',
        hint: 'run the command on a host that was a manager',
      });
    case 'inactive':
    case 'pending':
    case 'leaving':
      return new SwarmError({
        code: 'precondition',
        reason: 'not-in-swarm',
        message: 'This node is not part of a swarm: there is nothing to go on with',
        hint: 'run the command on a host that was a manager; `swarm init` makes a new swarm',
      });
  }
}

function needsForce(message: string, hint: string): SwarmError {
  return new SwarmError({ code: 'precondition', reason: 'needs-force', message, hint });
}
