/** Secrets and configs, and how services refer to them, in Docker's shape. */
import {
  BOOL,
  BYTES,
  INT,
  list,
  pointer,
  STRING,
  type StructData,
  struct,
  TIME,
  UINT,
} from '#common/template/go-types.ts';
import type { Secret } from '#gen/swarm/v1/objects.ts';
import type { ConfigReference, FileTarget, SecretReference } from '#gen/swarm/v1/specs.ts';
import { ANNOTATIONS, DRIVER, META } from './meta-types.ts';

/** Docker has none of these. */
const OWN = {
  '+Versions': list(
    struct('starling.PayloadVersion', { Number: UINT, CreatedAt: TIME, CreatedBy: STRING, SizeBytes: INT }),
  ),
};

export const SECRET = struct('swarm.Secret', {
  ID: STRING,
  '...Meta': META,
  Spec: struct('swarm.SecretSpec', {
    '...Annotations': ANNOTATIONS,
    'Data?': BYTES,
    'Driver?': pointer(DRIVER),
    'Templating?': pointer(DRIVER),
  }),
  ...OWN,
});

export const CONFIG = struct('swarm.Config', {
  ID: STRING,
  '...Meta': META,
  Spec: struct('swarm.ConfigSpec', {
    '...Annotations': ANNOTATIONS,
    'Data?': BYTES,
    'Templating?': pointer(DRIVER),
  }),
  ...OWN,
});

/** @param data what a config holds; undefined for secrets */
export function payloadShape(payload: Secret, data: Uint8Array | undefined): StructData {
  const { id, version, createdAtMs, updatedAtMs, spec, versions } = payload;
  return {
    ID: id,
    Version: { Index: version },
    CreatedAt: createdAtMs,
    UpdatedAt: updatedAtMs,
    Spec: {
      Name: spec?.name,
      Labels: spec?.labels,
      Data: data,
      Templating: spec === undefined || spec.templateDriver === '' ? undefined : { Name: spec.templateDriver },
    },
    Versions: versions.map((one) => ({
      Number: one.number,
      CreatedAt: one.createdAtMs,
      CreatedBy: one.createdBy,
      SizeBytes: one.sizeBytes,
    })),
  };
}

const FILE = { Name: STRING, UID: STRING, GID: STRING, Mode: UINT };

/** Docker has none of these. */
const OWN_REFERENCE = { '+Version': UINT, '+Follow': BOOL, '+Env?': STRING };

export const SECRET_REFERENCE = struct('swarm.SecretReference', {
  File: pointer(struct('swarm.SecretReferenceFileTarget', FILE)),
  SecretID: STRING,
  SecretName: STRING,
  ...OWN_REFERENCE,
});

export const CONFIG_REFERENCE = struct('swarm.ConfigReference', {
  'File?': pointer(struct('swarm.ConfigReferenceFileTarget', FILE)),
  'Runtime?': pointer(struct('swarm.ConfigReferenceRuntimeTarget', {})),
  ConfigID: STRING,
  ConfigName: STRING,
  ...OWN_REFERENCE,
});

const DEFAULT_MODE = 0o444;

function fileShape(file: FileTarget | undefined): StructData | undefined {
  if (file === undefined) return undefined;
  return { Name: file.path, UID: file.uid || '0', GID: file.gid || '0', Mode: file.mode ?? DEFAULT_MODE };
}

export function secretReferenceShape({ secretId, secretName, number, follow, file, env }: SecretReference): StructData {
  return {
    File: fileShape(file),
    SecretID: secretId,
    SecretName: secretName,
    Version: number,
    Follow: follow,
    Env: env,
  };
}

export function configReferenceShape({ configId, configName, number, follow, file, env }: ConfigReference): StructData {
  return {
    File: fileShape(file),
    ConfigID: configId,
    ConfigName: configName,
    Version: number,
    Follow: follow,
    Env: env,
  };
}
