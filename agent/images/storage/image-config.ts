/** The config document of an image (Docker's and OCI's are the same here), read field by field. */
import { isDigest } from '#common/image-reference.ts';
import { JsonReader } from '../json.ts';

/** What the image says about how to run it. Lists and maps are empty, texts undefined, where it says nothing. */
export interface ImageConfig {
  readonly entrypoint: readonly string[];
  readonly command: readonly string[];
  readonly env: readonly string[];
  readonly workingDirectory: string | undefined;
  readonly user: string | undefined;
  /** "80/tcp". */
  readonly exposedPorts: readonly string[];
  /** Paths that get an anonymous volume. */
  readonly volumes: readonly string[];
  readonly labels: Readonly<Record<string, string>>;
  readonly stopSignal: string | undefined;
  readonly healthcheck: ImageHealthcheck | undefined;
  readonly onBuild: readonly string[];
  readonly shell: readonly string[];
}

export interface ImageHealthcheck {
  /** `['NONE']`, or `CMD` and a command, or `CMD-SHELL` and a line. */
  readonly test: readonly string[];
  /** All four: 0 where the image leaves it to the engine. */
  readonly intervalMs: number;
  readonly timeoutMs: number;
  readonly startPeriodMs: number;
  readonly startIntervalMs: number;
  readonly retries: number;
}

export interface ImageHistoryEntry {
  readonly created: string;
  readonly createdBy: string;
  readonly comment: string;
  readonly emptyLayer: boolean;
}

export interface ImageDocument {
  readonly config: ImageConfig;
  readonly created: string;
  readonly author: string;
  readonly comment: string;
  readonly os: string;
  readonly architecture: string;
  readonly variant: string;
  /** Digests of the unpacked layers, the lowest first. */
  readonly diffIds: readonly string[];
  readonly history: readonly ImageHistoryEntry[];
}

const DIFF_IDS_MAX = 1000;
const HISTORY_MAX = 10_000;
const NANOS_PER_MS = 1e6;

function readHealthcheck(reader: JsonReader, value: unknown): ImageHealthcheck | undefined {
  const check = reader.optionalObject(value, 'Healthcheck');
  if (check === undefined) return undefined;
  const ms = (field: string): number => {
    const nanos = check[field];
    // Beyond 2^53 nanoseconds (104 days) JSON has lost digits that nobody misses.
    if (nanos !== undefined && nanos !== null && typeof nanos !== 'number')
      throw reader.fail(`Healthcheck.${field} is not a number`);
    return Math.max(0, Math.round((nanos ?? 0) / NANOS_PER_MS));
  };
  return {
    test: reader.texts(check['Test'], 'Healthcheck.Test'),
    intervalMs: ms('Interval'),
    timeoutMs: ms('Timeout'),
    startPeriodMs: ms('StartPeriod'),
    startIntervalMs: ms('StartInterval'),
    retries: Math.max(0, reader.integer(check['Retries'], 'Healthcheck.Retries')),
  };
}

function readConfig(reader: JsonReader, value: unknown): ImageConfig {
  const config = reader.optionalObject(value, 'config') ?? {};
  const text = (field: string): string | undefined => reader.text(config[field], field) || undefined;
  return {
    entrypoint: reader.texts(config['Entrypoint'], 'Entrypoint'),
    command: reader.texts(config['Cmd'], 'Cmd'),
    env: reader.texts(config['Env'], 'Env'),
    workingDirectory: text('WorkingDir'),
    user: text('User'),
    exposedPorts: reader.keys(config['ExposedPorts'], 'ExposedPorts'),
    volumes: reader.keys(config['Volumes'], 'Volumes'),
    labels: reader.textMap(config['Labels'], 'Labels'),
    stopSignal: text('StopSignal'),
    healthcheck: readHealthcheck(reader, config['Healthcheck']),
    onBuild: reader.texts(config['OnBuild'], 'OnBuild'),
    shell: reader.texts(config['Shell'], 'Shell'),
  };
}

/**
 * @param what names the image in errors.
 * @throws SwarmError `image-invalid`
 */
export function parseImageDocument(text: string, what: string): ImageDocument {
  const reader = new JsonReader(what);
  const document = reader.object(reader.parse(text), 'its config');
  const rootfs = reader.optionalObject(document['rootfs'], 'rootfs') ?? {};
  const diffIds = reader.list(rootfs['diff_ids'], 'rootfs.diff_ids', DIFF_IDS_MAX).map((entry) => {
    if (typeof entry !== 'string' || !isDigest(entry))
      throw reader.fail('rootfs.diff_ids holds something that is not a digest');
    return entry;
  });
  const history = reader.list(document['history'], 'history', HISTORY_MAX).map((entry) => {
    const step = reader.object(entry, 'history');
    return {
      created: reader.text(step['created'], 'history.created'),
      createdBy: reader.text(step['created_by'], 'history.created_by'),
      comment: reader.text(step['comment'], 'history.comment'),
      emptyLayer: step['empty_layer'] === true,
    };
  });
  return {
    config: readConfig(reader, document['config']),
    created: reader.text(document['created'], 'created'),
    author: reader.text(document['author'], 'author'),
    comment: reader.text(document['comment'], 'comment'),
    os: reader.text(document['os'], 'os'),
    architecture: reader.text(document['architecture'], 'architecture'),
    variant: reader.text(document['variant'], 'variant'),
    diffIds,
    history,
  };
}

/** Milliseconds since the epoch; 0 for what is not a time. */
export function timeOf(created: string): number {
  const parsed = Date.parse(created);
  return Number.isFinite(parsed) ? parsed : 0;
}
