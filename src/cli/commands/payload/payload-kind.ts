/** Secrets and configs as the commands see them: the same but for their names, and for who may read them. */
import type { Secret, SecretSpec } from '#gen/swarm/v1/objects.ts';
import type { PayloadUser } from '#gen/swarm/v1/secrets.ts';
import type { SwarmApi } from '../../api.ts';
import { CliError } from '../../cli-errors.ts';

/** A secret or a config: the contract gives them the same fields. */
export type Payload = Secret;
export type PayloadSpec = SecretSpec;

export interface PayloadDetails {
  readonly payload: Payload;
  readonly users: readonly PayloadUser[];
  /** What the version holds that was asked for; undefined for secrets, which nobody can read back. */
  readonly data: Uint8Array | undefined;
}

export interface PayloadFilters {
  readonly names: readonly string[];
  readonly idPrefixes: readonly string[];
  readonly labels: readonly string[];
}

export interface PayloadKind {
  readonly word: 'secret' | 'config';
  readonly title: 'Secret' | 'Config';
  create(api: SwarmApi, spec: PayloadSpec, data: Uint8Array): Promise<Payload>;
  /** @param number version whose data is wanted; 0 for the newest */
  get(api: SwarmApi, reference: string, number: number): Promise<PayloadDetails>;
  list(api: SwarmApi, filters: PayloadFilters): Promise<readonly Payload[]>;
  update(
    api: SwarmApi,
    payload: Payload,
    spec: PayloadSpec,
    data: Uint8Array | undefined,
  ): Promise<{ readonly payload: Payload; readonly following: readonly string[] }>;
  remove(api: SwarmApi, reference: string): Promise<void>;
  prune(
    api: SwarmApi,
    request: { readonly labels: readonly string[]; readonly keepVersions: number | undefined },
  ): Promise<{ readonly removed: readonly string[]; readonly removedVersions: number }>;
}

function said<T>(value: T | undefined, word: string): T {
  if (value === undefined) throw new CliError(`the daemon did not say which ${word} it is`);
  return value;
}

export const SECRETS: PayloadKind = {
  word: 'secret',
  title: 'Secret',
  create: async (api, spec, data) => said((await api.secrets.createSecret({ spec, data })).secret, 'secret'),
  get: async (api, reference) => {
    const { secret, users } = await api.secrets.getSecret({ reference });
    return { payload: said(secret, 'secret'), users, data: undefined };
  },
  list: async (api, filters) => {
    const all: Payload[] = [];
    for await (const { secrets } of api.secrets.listSecrets(filters)) all.push(...secrets);
    return all;
  },
  update: async (api, { id, version }, spec, data) => {
    const { secret, following } = await api.secrets.updateSecret({ id, version, spec, data });
    return { payload: said(secret, 'secret'), following };
  },
  remove: async (api, reference) => {
    await api.secrets.removeSecret({ reference });
  },
  prune: (api, request) => api.secrets.pruneSecrets(request),
};

export const CONFIGS: PayloadKind = {
  word: 'config',
  title: 'Config',
  create: async (api, spec, data) => said((await api.secrets.createConfig({ spec, data })).config, 'config'),
  get: async (api, reference, number) => {
    const { config, users, data } = await api.secrets.getConfig({ reference, number });
    return { payload: said(config, 'config'), users, data };
  },
  list: async (api, filters) => {
    const all: Payload[] = [];
    for await (const { configs } of api.secrets.listConfigs(filters)) all.push(...configs);
    return all;
  },
  update: async (api, { id, version }, spec, data) => {
    const { config, following } = await api.secrets.updateConfig({ id, version, spec, data });
    return { payload: said(config, 'config'), following };
  },
  remove: async (api, reference) => {
    await api.secrets.removeConfig({ reference });
  },
  prune: (api, request) => api.secrets.pruneConfigs(request),
};
