/** Docker's image types (API 1.50) as data. */
import {
  BOOL,
  INT,
  list,
  mapOf,
  pointer,
  STRING,
  STRING_MAP,
  STRINGS,
  struct,
  TIME,
} from '#common/template/go-types.ts';
import { healthCheckType } from './health-check.ts';

/** A set, as Go writes it: keys that lead to nothing. */
const SET = mapOf(struct('struct {}', {}));

const IMAGE_CONFIG = struct('v1.DockerOCIImageConfig', {
  'User?': STRING,
  'ExposedPorts?': SET,
  'Env?': STRINGS,
  'Entrypoint?': STRINGS,
  'Cmd?': STRINGS,
  'Volumes?': SET,
  'WorkingDir?': STRING,
  'Labels?': STRING_MAP,
  'StopSignal?': STRING,
  'ArgsEscaped?': BOOL,
  'Healthcheck?': pointer(healthCheckType('v1.HealthcheckConfig')),
  'OnBuild?': STRINGS,
  'Shell?': STRINGS,
});

export const IMAGE = struct('image.InspectResponse', {
  'ID=Id': STRING,
  RepoTags: STRINGS,
  RepoDigests: STRINGS,
  Parent: STRING,
  Comment: STRING,
  'Created?': STRING,
  'Container?': STRING,
  'ContainerConfig?': pointer(struct('container.Config', {})),
  DockerVersion: STRING,
  Author: STRING,
  Config: pointer(IMAGE_CONFIG),
  Architecture: STRING,
  'Variant?': STRING,
  Os: STRING,
  'OsVersion?': STRING,
  Size: INT,
  'VirtualSize?': INT,
  GraphDriver: struct('storage.DriverData', { Data: STRING_MAP, Name: STRING }),
  RootFS: struct('image.RootFS', { 'Type?': STRING, 'Layers?': STRINGS }),
  Metadata: struct('image.Metadata', { LastTagTime: TIME }),
  'Descriptor?': pointer(struct('v1.Descriptor', {})),
  'Manifests?': list(struct('image.ManifestSummary', {})),
});
