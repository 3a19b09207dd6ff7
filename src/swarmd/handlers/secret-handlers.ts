/** Secrets and configs at a manager. */
import { SecretService } from '#gen/swarm/v1/secrets.ts';
import type { Handlers } from '#proto/grpc/methods.ts';
import { list, read, writesOf } from './control-calls.ts';
import type { ServingAccess } from './manager-access.ts';

const write = writesOf(SecretService);

export function secretHandlers(manager: ServingAccess): Handlers<typeof SecretService> {
  return {
    getSecret: async (request, context) => read(manager(), context, (api, by) => api.payloads.getSecret(by, request)),
    getConfig: async (request, context) => read(manager(), context, (api, by) => api.payloads.getConfig(by, request)),

    listSecrets: (request, context) => list(manager(), context, (api, by) => api.payloads.listSecrets(by, request)),
    listConfigs: (request, context) => list(manager(), context, (api, by) => api.payloads.listConfigs(by, request)),

    createSecret: async (request, context) =>
      write(manager(), context, {
        local: (api, by) => api.payloads.createSecret(by, request),
        remote: (leader, options) => leader.createSecret(request, options),
      }),
    updateSecret: async (request, context) =>
      write(manager(), context, {
        local: (api, by) => api.payloads.updateSecret(by, request),
        remote: (leader, options) => leader.updateSecret(request, options),
      }),
    removeSecret: async (request, context) =>
      write(manager(), context, {
        local: (api, by) => api.payloads.removeSecret(by, request),
        remote: (leader, options) => leader.removeSecret(request, options),
      }),
    pruneSecrets: async (request, context) =>
      write(manager(), context, {
        local: (api, by) => api.payloads.pruneSecrets(by, request),
        remote: (leader, options) => leader.pruneSecrets(request, options),
      }),
    createConfig: async (request, context) =>
      write(manager(), context, {
        local: (api, by) => api.payloads.createConfig(by, request),
        remote: (leader, options) => leader.createConfig(request, options),
      }),
    updateConfig: async (request, context) =>
      write(manager(), context, {
        local: (api, by) => api.payloads.updateConfig(by, request),
        remote: (leader, options) => leader.updateConfig(request, options),
      }),
    removeConfig: async (request, context) =>
      write(manager(), context, {
        local: (api, by) => api.payloads.removeConfig(by, request),
        remote: (leader, options) => leader.removeConfig(request, options),
      }),
    pruneConfigs: async (request, context) =>
      write(manager(), context, {
        local: (api, by) => api.payloads.pruneConfigs(by, request),
        remote: (leader, options) => leader.pruneConfigs(request, options),
      }),
  };
}
