/** Volumes of the nodes at a manager. */
import { VolumeService } from '#gen/swarm/v1/volumes.ts';
import type { Handlers } from '#proto/grpc/methods.ts';
import { list, read, writesOf } from './control-calls.ts';
import type { ServingAccess, ServingManager } from './manager-access.ts';

const write = writesOf(VolumeService);

export function volumeHandlers(manager: ServingAccess): Handlers<typeof VolumeService> {
  return {
    getVolume: async (request, context) => read(manager(), context, (api, by) => api.volumes.get(by, request)),
    listVolumes: (request, context) => list(manager(), context, (api, by) => api.volumes.list(by, request)),

    createVolume: async (request, context) => {
      const serving = manager();
      const asked = { ...request, node: nodeOf(serving, request.node === '' ? 'self' : request.node) };
      return write(serving, context, {
        local: (api, by) => api.volumes.create(by, asked),
        remote: (leader, options) => leader.createVolume(asked, options),
      });
    },
    removeVolume: async (request, context) => {
      const serving = manager();
      const asked = { ...request, node: nodeOf(serving, request.node) };
      return write(serving, context, {
        local: (api, by) => api.volumes.remove(by, asked),
        remote: (leader, options) => leader.removeVolume(asked, options),
      });
    },
    pruneVolumes: async (request, context) => {
      const serving = manager();
      const asked = { ...request, nodes: request.nodes.map((node) => nodeOf(serving, node)) };
      return write(serving, context, {
        local: (api, by) => api.volumes.prune(by, asked),
        remote: (leader, options) => leader.pruneVolumes(asked, options),
      });
    },
  };
}

/** `self` is the node that was asked, whoever decides. */
function nodeOf({ nodeId }: ServingManager, reference: string): string {
  return reference === 'self' ? nodeId : reference;
}
