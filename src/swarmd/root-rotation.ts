/** What a manager needs to replace the root of the swarm. */
import { createJoinToken } from '#certs/join-token.ts';
import type { Clock } from '#common/clock.ts';
import type { Logger } from '#common/log.ts';
import type { Random } from '#common/random.ts';
import { type CertificateAuthority, prepareRoot, ROTATION_CONFIG, RootRotator } from '#manager/ca/index.ts';
import type { RootPreparer } from '#manager/control/index.ts';
import type { ReplicatedStore } from '#manager/replicated-store/index.ts';

export interface RootRotationParts {
  readonly store: ReplicatedStore;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
}

export function makeRootRotator(parts: RootRotationParts): RootRotator {
  return new RootRotator({ ...parts, tokens: (digest) => createJoinToken(digest), config: ROTATION_CONFIG });
}

/** `authority` asks outside of the swarm, where that is needed. */
export function makeRootPreparer(authority: () => CertificateAuthority, clock: Clock): RootPreparer {
  return (wanted, cluster) => prepareRoot(wanted, cluster, authority().external, clock.now());
}
