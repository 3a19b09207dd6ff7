/** The leader's loops over the swarm itself: roles, feature level, roots, nodes that do not come back. */
import type { Clock } from '#common/clock.ts';
import type { Logger } from '#common/log.ts';
import type { Random } from '#common/random.ts';
import { changesOfLevel } from '#manager/allocator/index.ts';
import { CLEANUP_CONFIG, NodeJanitor } from '#manager/membership/index.ts';
import type { RaftLog } from '#manager/raft/index.ts';
import type { ReplicatedStore } from '#manager/replicated-store/index.ts';
import { FeatureLevelRaiser, ROLES_CONFIG, RoleReconciler } from '#manager/roles/index.ts';
import type { LeaderPartsOptions } from './leader-parts.ts';
import { makeRootRotator } from './root-rotation.ts';

export interface LeaderLoopsOptions {
  readonly store: ReplicatedStore;
  readonly log: RaftLog;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
}

export function makeLeaderLoops(
  options: LeaderLoopsOptions,
): Pick<LeaderPartsOptions, 'roles' | 'features' | 'rootRotator' | 'janitor'> {
  const { logger, random } = options;
  const shared = { ...options, logger: logger.with({ part: 'roles' }), config: ROLES_CONFIG };
  return {
    roles: new RoleReconciler(shared),
    features: new FeatureLevelRaiser({
      ...shared,
      changesOfLevel: (view, level) => changesOfLevel(view, level, random),
    }),
    rootRotator: makeRootRotator({ ...options, logger: logger.with({ part: 'root-rotation' }) }),
    janitor: new NodeJanitor({ ...options, logger: logger.with({ part: 'cleanup' }), config: CLEANUP_CONFIG }),
  };
}
