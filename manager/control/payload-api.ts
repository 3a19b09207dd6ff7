/** Secrets and configs of the declarative API. What secrets hold is never answered. */
import { SwarmError } from '#common/errors.ts';
import { LIMITS } from '#common/limits.ts';
import type { Random } from '#common/random.ts';
import type * as api from '#gen/swarm/v1/secrets.ts';
import { CONFIGS, newestNumber, type Payload, type PayloadKind, SECRETS, usesOf } from '#manager/payloads/index.ts';
import type { StoreView } from '#manager/store/index.ts';
import { allLabels, anyContained, anyPrefix, pages } from './filters.ts';
import {
  createPayload,
  type PayloadUpdate,
  type PayloadUpdated,
  type PruneRequest,
  prunePayloads,
  removePayload,
  updatePayload,
} from './payloads.ts';
import { findPayload } from './references.ts';
import type { PayloadSpec } from './validate-payload.ts';
import type { ControlCaller, WriteQueue } from './write-queue.ts';

export interface PayloadApiOptions {
  readonly writes: WriteQueue;
  readonly view: () => StoreView;
  readonly random: Random;
  readonly now: () => number;
}

interface Creation {
  readonly spec: PayloadSpec | undefined;
  readonly data: Uint8Array;
}

interface Filters {
  readonly names: readonly string[];
  readonly idPrefixes: readonly string[];
  readonly labels: readonly string[];
}

/** Transactions of one prune: far more than the limits of the cluster need. */
const PRUNE_ROUNDS_MAX = 10_000;

export class PayloadApi {
  readonly #options: PayloadApiOptions;

  constructor(options: PayloadApiOptions) {
    this.#options = options;
  }

  async createSecret(caller: ControlCaller, request: api.CreateSecretRequest): Promise<api.CreateSecretResponse> {
    return { secret: await this.#create(SECRETS, caller, request) };
  }

  async getSecret(_caller: ControlCaller, { reference }: api.GetSecretRequest): Promise<api.GetSecretResponse> {
    const view = this.#options.view();
    const secret = findPayload(view, SECRETS, reference);
    return { secret, users: usersOf(view, SECRETS, secret) };
  }

  async *listSecrets(_caller: ControlCaller, request: api.ListSecretsRequest): AsyncGenerator<api.ListSecretsResponse> {
    for (const secrets of pages(this.#matching(SECRETS, request), LIMITS.LIST_PAGE)) yield { secrets };
  }

  async updateSecret(caller: ControlCaller, request: api.UpdateSecretRequest): Promise<api.UpdateSecretResponse> {
    const { payload, following } = await this.#update(SECRETS, caller, request);
    return { secret: payload, following };
  }

  async removeSecret(caller: ControlCaller, { reference }: api.RemoveSecretRequest): Promise<api.RemoveSecretResponse> {
    return { id: await this.#remove(SECRETS, caller, reference) };
  }

  async pruneSecrets(caller: ControlCaller, request: api.PruneSecretsRequest): Promise<api.PruneSecretsResponse> {
    return this.#prune(SECRETS, caller, request);
  }

  async createConfig(caller: ControlCaller, request: api.CreateConfigRequest): Promise<api.CreateConfigResponse> {
    return { config: await this.#create(CONFIGS, caller, request) };
  }

  async getConfig(_caller: ControlCaller, request: api.GetConfigRequest): Promise<api.GetConfigResponse> {
    const view = this.#options.view();
    const config = findPayload(view, CONFIGS, request.reference);
    const number = request.number === 0 ? newestNumber(config) : request.number;
    const held = CONFIGS.version(view, config.id, number);
    if (held === undefined)
      throw new SwarmError({
        code: 'not-found',
        reason: 'unknown-object',
        field: 'number',
        message: `config ${config.spec?.name} has no version ${number}; it has ${config.versions.map((one) => one.number).join(', ')}`,
        hint: 'name one of these, or none for the newest',
      });
    return { config, users: usersOf(view, CONFIGS, config), data: held.data };
  }

  async *listConfigs(_caller: ControlCaller, request: api.ListConfigsRequest): AsyncGenerator<api.ListConfigsResponse> {
    for (const configs of pages(this.#matching(CONFIGS, request), LIMITS.LIST_PAGE)) yield { configs };
  }

  async updateConfig(caller: ControlCaller, request: api.UpdateConfigRequest): Promise<api.UpdateConfigResponse> {
    const { payload, following } = await this.#update(CONFIGS, caller, request);
    return { config: payload, following };
  }

  async removeConfig(caller: ControlCaller, { reference }: api.RemoveConfigRequest): Promise<api.RemoveConfigResponse> {
    return { id: await this.#remove(CONFIGS, caller, reference) };
  }

  async pruneConfigs(caller: ControlCaller, request: api.PruneConfigsRequest): Promise<api.PruneConfigsResponse> {
    return this.#prune(CONFIGS, caller, request);
  }

  async #create(kind: PayloadKind, caller: ControlCaller, request: Creation): Promise<Payload> {
    const { writes, random, now } = this.#options;
    const { author } = caller;
    const { result, view } = await writes.write(caller, (current) =>
      createPayload(current, kind, request, { author, random, nowMs: now() }),
    );
    return kind.get(view, result.id) ?? result;
  }

  async #update(kind: PayloadKind, caller: ControlCaller, request: PayloadUpdate): Promise<PayloadUpdated> {
    const { writes, random, now } = this.#options;
    const { author } = caller;
    const { result, view } = await writes.write(caller, (current) =>
      updatePayload(current, kind, request, { author, random, nowMs: now() }),
    );
    return { ...result, payload: kind.get(view, request.id) ?? result.payload };
  }

  async #remove(kind: PayloadKind, caller: ControlCaller, reference: string): Promise<string> {
    const { result } = await this.#options.writes.write(caller, (view) => removePayload(view, kind, reference));
    return result.id;
  }

  async #prune(
    kind: PayloadKind,
    caller: ControlCaller,
    request: PruneRequest,
  ): Promise<{ readonly removed: readonly string[]; readonly removedVersions: number }> {
    const removed: string[] = [];
    let removedVersions = 0;
    for (let round = 0; round < PRUNE_ROUNDS_MAX; round++) {
      const { result } = await this.#options.writes.write(caller, (view) => prunePayloads(view, kind, request));
      for (const name of result.removed) removed.push(name);
      removedVersions += result.removedVersions;
      if (!result.more) break;
    }
    return { removed: removed.sort(), removedVersions };
  }

  #matching(kind: PayloadKind, { names, idPrefixes, labels }: Filters): readonly Payload[] {
    return [...kind.all(this.#options.view())].filter(
      ({ id, spec }) =>
        anyContained(names, spec?.name ?? '') && anyPrefix(idPrefixes, id) && allLabels(labels, spec?.labels ?? {}),
    );
  }
}

function usersOf(view: StoreView, kind: PayloadKind, payload: Payload): readonly api.PayloadUser[] {
  return usesOf(view, kind, payload.id).map(({ service, numbers, follows }) => ({
    serviceId: service.id,
    serviceName: service.spec?.name ?? '',
    numbers,
    follows,
  }));
}
