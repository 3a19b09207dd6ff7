import { invalidField } from '#common/errors.ts';
import {
  GetSnapshotKeyResponse,
  type RestoreOptions,
  type RestoreSwarmRequest,
  type RestoreSwarmResponse,
  type SaveSnapshotResponse,
  type SnapshotService,
} from '#gen/swarm/v1/snapshot.ts';
import { type Backups, formatSnapshotKey } from '#manager/backup/index.ts';
import type { Handlers } from '#proto/grpc/methods.ts';

export interface SnapshotHandlersOptions {
  /** Of the manager of this node. @throws SwarmError `not-a-manager` */
  readonly backups: () => Backups;
  readonly restore: (options: RestoreOptions, file: AsyncIterable<Uint8Array>) => Promise<RestoreSwarmResponse>;
}

export function snapshotHandlers({ backups, restore }: SnapshotHandlersOptions): Handlers<typeof SnapshotService> {
  return {
    saveSnapshot: (_request, context) => save(backups(), context.signal),
    getSnapshotKey: async () => {
      const { key, cluster } = await backups().key();
      return GetSnapshotKeyResponse.create({
        key: formatSnapshotKey(key),
        clusterId: cluster.id,
        clusterName: cluster.spec?.name ?? '',
      });
    },
    restoreSwarm: async (requests) => {
      const source = requests[Symbol.asyncIterator]();
      const first = await source.next();
      const message = first.done === true ? undefined : first.value.message;
      if (message?.kind !== 'options')
        throw invalidField('message', 'a restore begins with its options', 'send the options before the first chunk');
      return restore(message.value, chunksOf(source));
    },
  };
}

async function* save(backups: Backups, signal: AbortSignal): AsyncGenerator<SaveSnapshotResponse> {
  const { pieces } = await backups.save(signal);
  for await (const chunk of pieces) yield { chunk };
}

async function* chunksOf(source: AsyncIterator<RestoreSwarmRequest>): AsyncGenerator<Uint8Array> {
  for (let next = await source.next(); next.done !== true; next = await source.next()) {
    const { message } = next.value;
    if (message?.kind !== 'chunk')
      throw invalidField('message', 'a restore has its options once', 'send chunks after the options');
    yield message.value;
  }
}
