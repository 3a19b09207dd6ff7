/** Secrets and configs are one thing to a manager, but for who may read them: named bytes with versions. Pure. */
import { Config, ConfigVersion, Secret, SecretVersion } from '#gen/swarm/v1/objects.ts';
import { ConfigReference, type ContainerSpec, type FileTarget, SecretReference } from '#gen/swarm/v1/specs.ts';
import { type Change, numberKey, type StoreEvent, type StoreView } from '#manager/store/index.ts';

/** A secret or a config: the contract gives them the same fields. */
export type Payload = Secret & Config;

/** What one version holds. */
export interface PayloadData {
  readonly id: string;
  readonly payloadId: string;
  readonly number: number;
  readonly data: Uint8Array;
  readonly templateDriver: string;
}

/** How a task's spec refers to one. */
export interface PayloadReference {
  /** Empty until it is looked up. */
  readonly id: string;
  readonly name: string;
  /** 0: the newest. */
  readonly number: number;
  readonly follow: boolean;
  readonly file: FileTarget | undefined;
  /** Name of an environment variable; empty for none. */
  readonly env: string;
}

export interface PayloadKind {
  /** As people call it. */
  readonly word: 'secret' | 'config';
  get(view: StoreView, id: string): Payload | undefined;
  /** Without regard to case. */
  named(view: StoreView, name: string): Payload | undefined;
  withPrefix(view: StoreView, prefix: string, limit: number): readonly Payload[];
  all(view: StoreView): Iterable<Payload>;
  count(view: StoreView): number;
  version(view: StoreView, payloadId: string, number: number): PayloadData | undefined;
  change(kind: Change['kind'], payload: Payload): Change;
  createVersion(version: PayloadData): Change;
  /** Undefined when the version is gone already. */
  removeVersion(view: StoreView, payloadId: string, number: number): Change | undefined;
  /** The payload that the event is about; undefined for other events. */
  eventOf(event: StoreEvent): { readonly kind: StoreEvent['kind']; readonly payload: Payload } | undefined;
  referencesIn(container: ContainerSpec | undefined): readonly PayloadReference[];
  withReferences(container: ContainerSpec, references: readonly PayloadReference[]): ContainerSpec;
}

export const SECRETS: PayloadKind = {
  word: 'secret',
  get: (view, id) => view.get('secret', id),
  named: (view, name) => view.find('secret', 'name', name.toLowerCase()),
  withPrefix: (view, prefix, limit) => view.byIdPrefix('secret', prefix, limit),
  all: (view) => view.all('secret'),
  count: (view) => view.count('secret'),
  version: (view, payloadId, number) => {
    const found = view.find('secretVersion', 'number', numberKey(payloadId, number));
    return found && { ...found, payloadId: found.secretId };
  },
  change: (kind, object) => ({ kind, table: 'secret', object }),
  createVersion: ({ id, payloadId, number, data, templateDriver }) => {
    const object = SecretVersion.create({ id, secretId: payloadId, number, data, templateDriver });
    return { kind: 'create', table: 'secretVersion', object };
  },
  removeVersion: (view, payloadId, number) => {
    const object = view.find('secretVersion', 'number', numberKey(payloadId, number));
    return object && { kind: 'remove', table: 'secretVersion', object };
  },
  eventOf: (event) => (event.table === 'secret' ? { kind: event.kind, payload: event.object } : undefined),
  referencesIn: (container) =>
    container?.secrets.map(({ secretId, secretName, number, follow, file, env }) => ({
      id: secretId,
      name: secretName,
      number,
      follow,
      file,
      env,
    })) ?? [],
  withReferences: (container, references) => ({
    ...container,
    secrets: references.map(({ id, name, ...rest }) =>
      SecretReference.create({ ...rest, secretId: id, secretName: name }),
    ),
  }),
};

export const CONFIGS: PayloadKind = {
  word: 'config',
  get: (view, id) => view.get('config', id),
  named: (view, name) => view.find('config', 'name', name.toLowerCase()),
  withPrefix: (view, prefix, limit) => view.byIdPrefix('config', prefix, limit),
  all: (view) => view.all('config'),
  count: (view) => view.count('config'),
  version: (view, payloadId, number) => {
    const found = view.find('configVersion', 'number', numberKey(payloadId, number));
    return found && { ...found, payloadId: found.configId };
  },
  change: (kind, object) => ({ kind, table: 'config', object }),
  createVersion: ({ id, payloadId, number, data, templateDriver }) => {
    const object = ConfigVersion.create({ id, configId: payloadId, number, data, templateDriver });
    return { kind: 'create', table: 'configVersion', object };
  },
  removeVersion: (view, payloadId, number) => {
    const object = view.find('configVersion', 'number', numberKey(payloadId, number));
    return object && { kind: 'remove', table: 'configVersion', object };
  },
  eventOf: (event) => (event.table === 'config' ? { kind: event.kind, payload: event.object } : undefined),
  referencesIn: (container) =>
    container?.configs.map(({ configId, configName, number, follow, file, env }) => ({
      id: configId,
      name: configName,
      number,
      follow,
      file,
      env,
    })) ?? [],
  withReferences: (container, references) => ({
    ...container,
    configs: references.map(({ id, name, ...rest }) =>
      ConfigReference.create({ ...rest, configId: id, configName: name }),
    ),
  }),
};

export const PAYLOAD_KINDS: readonly PayloadKind[] = [SECRETS, CONFIGS];

/** Number of the newest version. Every payload has one. */
export function newestNumber(payload: Payload): number {
  return payload.versions.at(-1)?.number ?? 0;
}
