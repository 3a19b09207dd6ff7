import { IdentityStore } from '#agent/identity/index.ts';
import { SwarmError } from '#common/errors.ts';
import { type Check, EVERYWHERE, fail, ok, warn } from '../check.ts';
import { DOCTOR_CONFIG } from '../config.ts';

/**
 * The identity in the state directory: whole, closed to others, and made on this machine. A daemon that takes part has
 * checked its own when it loaded it, and may be replacing the files just now.
 */
export const identity: Check = {
  name: 'identity',
  purposes: ['doctor'],
  run: async ({ identity: own, stateDirectory, nowMs }) => {
    try {
      const loaded = own ?? (await new IdentityStore(stateDirectory).inspect(nowMs));
      if (loaded === undefined) return ok('this host is in no swarm');
      const { identity: who, home } = loaded;
      const until = new Date(who.notAfterMs).toISOString().slice(0, 10);
      if (who.notAfterMs <= nowMs)
        return fail(
          `the certificate of node ${who.nodeId} has run out (${until})`,
          'look at the clock, and at `swarm info`; where it stays like that, run `swarm leave --force` and join again',
        );
      switch (home.kind) {
        case 'same':
          return ok(`${who.role} ${who.nodeId}, certified until ${until}`);
        case 'moved':
          return warn(
            `${stateDirectory} is not where node ${who.nodeId} was made: ${home.message}`,
            'make sure that no daemon uses the original any more: two nodes with one identity displace each other',
          );
        case 'other-machine':
          return fail(
            `${stateDirectory} was cloned: ${home.message}, and both would be node ${who.nodeId}`,
            'on the clone, run `swarm leave --force` and join again; it becomes a node of its own',
          );
      }
    } catch (thrown) {
      const error = SwarmError.from(thrown);
      if (error.reason === 'locked') return ok('a manager whose keys are encrypted by the unlock key');
      return fail(error.message, error.hint ?? 'run `swarm leave --force` and join again');
    }
  },
};

export const disk: Check = {
  name: 'disk',
  purposes: EVERYWHERE,
  run: async ({ host, stateDirectory }) => {
    const found = await host.fileSystem(stateDirectory);
    if (found === undefined) return undefined;
    const free = `${(found.availableBytes / 1024 ** 3).toFixed(1)} GiB are free in ${stateDirectory}`;
    const room = 'make room: `swarm system df`, `swarm image prune`; or put --state-dir on a larger disk';
    if (found.availableBytes < DOCTOR_CONFIG.diskFailBytes) return fail(`only ${free}`, room);
    if (found.kind === 'tmpfs')
      return warn(
        `${stateDirectory} lies in memory (tmpfs): a reboot takes this node's identity, images and volumes away`,
        'put --state-dir on a disk',
      );
    return found.availableBytes < DOCTOR_CONFIG.diskWarnBytes ? warn(`only ${free}`, room) : ok(free);
  },
};
