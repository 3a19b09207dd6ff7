/** Volumes in the declarative API. */
import { LIMITS } from '#common/limits.ts';
import type { Random } from '#common/random.ts';
import type * as api from '#gen/swarm/v1/volumes.ts';
import type { StoreView } from '#manager/store/index.ts';
import { VolumeUsers } from '#manager/volumes/index.ts';
import { pages } from './filters.ts';
import { createVolume, findVolumes, pruneVolumes, removeVolume, volumesMatching, volumeView } from './volumes.ts';
import type { ControlCaller, WriteQueue } from './write-queue.ts';

export interface VolumeApiOptions {
  readonly writes: WriteQueue;
  readonly view: () => StoreView;
  readonly random: Random;
  readonly selfNodeId: () => string;
}

export class VolumeApi {
  readonly #options: VolumeApiOptions;

  constructor(options: VolumeApiOptions) {
    this.#options = options;
  }

  async create(caller: ControlCaller, request: api.CreateVolumeRequest): Promise<api.CreateVolumeResponse> {
    const { writes, random, selfNodeId } = this.#options;
    const { result, view } = await writes.write(caller, (current) =>
      createVolume(current, request, selfNodeId(), random),
    );
    return { volume: view.get('volume', result.id) ?? result };
  }

  async get(_caller: ControlCaller, request: api.GetVolumeRequest): Promise<api.GetVolumeResponse> {
    const view = this.#options.view();
    const users = new VolumeUsers(view);
    const volumes = findVolumes(view, request, this.#options.selfNodeId());
    return Promise.resolve({ volumes: volumes.map((volume) => volumeView(view, users, volume)) });
  }

  async *list(_caller: ControlCaller, request: api.ListVolumesRequest): AsyncGenerator<api.ListVolumesResponse> {
    const matching = volumesMatching(this.#options.view(), request, this.#options.selfNodeId());
    for (const volumes of pages(matching, LIMITS.LIST_PAGE)) yield await Promise.resolve({ volumes });
  }

  async remove(caller: ControlCaller, request: api.RemoveVolumeRequest): Promise<api.RemoveVolumeResponse> {
    const { writes, selfNodeId } = this.#options;
    const { result } = await writes.write(caller, (view) => removeVolume(view, request, selfNodeId()));
    return { volume: result };
  }

  async prune(caller: ControlCaller, request: api.PruneVolumesRequest): Promise<api.PruneVolumesResponse> {
    const { writes, selfNodeId } = this.#options;
    const { result } = await writes.write(caller, (view) => pruneVolumes(view, request, selfNodeId()));
    return { volumes: result };
  }
}
