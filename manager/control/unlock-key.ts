/** The key that unlocks managers: made when they are to be locked, replaced on demand, gone when they are not. */
import { createUnlockKey, formatUnlockKey } from '#certs/unlock-key.ts';
import { SwarmError } from '#common/errors.ts';
import type { Cluster } from '#gen/swarm/v1/objects.ts';
import type { GetUnlockKeyResponse, RotateUnlockKeyResponse } from '#gen/swarm/v1/unlock.ts';
import type { StoreView } from '#manager/store/index.ts';
import { requireIdentity } from './feature-gates.ts';
import type { ControlCaller, WriteQueue } from './write-queue.ts';

export interface UnlockKeyApiOptions {
  readonly writes: WriteQueue;
  readonly view: () => StoreView;
}

export class UnlockKeyApi {
  readonly #options: UnlockKeyApiOptions;

  constructor(options: UnlockKeyApiOptions) {
    this.#options = options;
  }

  /** Empty when managers are not locked automatically. */
  async get(_caller: ControlCaller): Promise<GetUnlockKeyResponse> {
    return Promise.resolve(shown(this.#options.view().cluster()));
  }

  /** @throws SwarmError `not-supported` when managers are not locked automatically */
  async rotate(caller: ControlCaller): Promise<RotateUnlockKeyResponse> {
    const { result } = await this.#options.writes.write(caller, (view) => {
      requireIdentity(view, 'autolock');
      const cluster = view.cluster();
      if (cluster === undefined || !locksManagers(cluster)) throw notLocked();
      const object = withNewKey(cluster);
      return { result: object, changes: [{ kind: 'update', table: 'cluster', object }] };
    });
    return shown(result);
  }
}

/** The cluster with a key if its managers are to be locked and there is none, and without if they are not. */
export function withUnlockKey(cluster: Cluster): Cluster {
  const hasKey = (cluster.unlockKey?.key.length ?? 0) > 0;
  if (locksManagers(cluster)) return hasKey ? cluster : withNewKey(cluster);
  if (!hasKey) return cluster;
  // The version goes on counting: key files of a manager that was away name the one that they need.
  return { ...cluster, unlockKey: { key: new Uint8Array(), version: cluster.unlockKey?.version ?? 0 } };
}

/** As `swarm unlock-key` shows it; empty where there is none. */
export function unlockKeyOf(cluster: Cluster | undefined): string {
  const key = cluster?.unlockKey?.key ?? new Uint8Array();
  return key.length === 0 ? '' : formatUnlockKey(key);
}

function withNewKey(cluster: Cluster): Cluster {
  return { ...cluster, unlockKey: { key: createUnlockKey(), version: (cluster.unlockKey?.version ?? 0) + 1 } };
}

function locksManagers({ spec }: Cluster): boolean {
  return spec?.encryption?.autoLockManagers === true;
}

function shown(cluster: Cluster | undefined): GetUnlockKeyResponse {
  const unlockKey = unlockKeyOf(cluster);
  return { unlockKey, keyVersion: unlockKey === '' ? 0 : (cluster?.unlockKey?.version ?? 0) };
}

function notLocked(): SwarmError {
  return new SwarmError({
    code: 'precondition',
    reason: 'not-supported',
    message: 'managers of this swarm are not locked automatically: there is no unlock key',
    hint: 'lock them: `swarm update --autolock=true`',
  });
}
