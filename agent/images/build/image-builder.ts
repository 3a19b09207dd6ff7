/** Builds images from a Dockerfile and a context, by buildah in a chroot. */
import { lstat, mkdir, mkdtemp, readFile, realpath, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { SwarmError } from '#common/errors.ts';
import { familiarName, type ImageReference, isImageId } from '#common/image-reference.ts';
import { fileError } from '#common/system/atomic-file.ts';
import type { RegistryCredential } from '#common/system/registry-auth.ts';
import { cancelledError } from '../archive/archive-error.ts';
import { pathInRoot } from '../archive/layer-policy.ts';
import { classifyBuildFailure } from '../buildah/classify-failure.ts';
import type { OperationFiles } from '../buildah/operation-directory.ts';
import { withIdleLimit } from '../load/idle-guard.ts';
import { authsFor } from '../pull/image-puller.ts';
import { nodePlatform, type StoreContext, tagImage } from '../store-context.ts';
import { extractContext } from './extract-context.ts';

export interface BuildRequest {
  readonly tags: readonly ImageReference[];
  /** Within the context. */
  readonly dockerfile: string;
  readonly buildArgs: Readonly<Record<string, string>>;
  /** The stage to end with; empty means the last. */
  readonly target: string;
  readonly noCache: boolean;
  /** Look for newer versions of the base images. */
  readonly pull: boolean;
  readonly labels: Readonly<Record<string, string>>;
  readonly platform: { readonly os: string; readonly architecture: string };
  /** By host of the registry. */
  readonly credentials: ReadonlyMap<string, RegistryCredential>;
  /** Of RUN. With `none`, base images have to be here already. */
  readonly network: 'default' | 'none';
  /** A tar stream, plain or compressed. */
  readonly context: AsyncIterable<Uint8Array>;
  readonly onLine: (line: string) => void;
  readonly signal: AbortSignal;
}

const ARGUMENT_NAME = /^[A-Za-z_][A-Za-z0-9_]{0,127}$/;
const STAGE_NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$/;
/** Names that mean something to buildah itself, and must not be set for it by a build. */
const OWN_VARIABLE =
  /^(?:PATH|HOME|TMPDIR|USER|_.*|BUILDAH_.*|CONTAINERS_.*|STORAGE_.*|REGISTRY_.*|XDG_.*|LD_.*|GO.*|SSL_.*)$/;
const DOCKERFILE_BYTES_MAX = 4 * 1024 * 1024;
/** Registries that a Dockerfile speaks of: in front of a path, looking like a host. */
const HOST_IN_TEXT = /(?<![\w.:/-])((?:[a-z0-9-]+(?:\.[a-z0-9-]+)+|localhost|\[[a-f0-9:]+\])(?::[0-9]{1,5})?)\//gi;
const HOSTS_MAX = 100;

export class ImageBuilder {
  readonly #context: StoreContext;
  #running = 0;

  constructor(context: StoreContext) {
    this.#context = context;
  }

  /** Whether none is being built: then what working containers there are have been left behind. */
  get idle(): boolean {
    return this.#running === 0;
  }

  /**
   * Returns the id of the image. Throws `build-failed` with the step and its reason, `bad-field` for bad options,
   * `disk-full`, `timeout`, `cancelled`, and what pulling a base image throws.
   */
  async build(request: BuildRequest): Promise<string> {
    checkOptions(request);
    const { buildah } = this.#context;
    const directory = await mkdtemp(join(buildah.workDirectory, 'build-'));
    this.#running++;
    let failed = true;
    try {
      const imageId = await this.#context.names.whileArriving(() => this.#buildIn(directory, request));
      failed = false;
      return imageId;
    } catch (error) {
      if (request.signal.aborted) throw cancelledError('the build');
      throw error instanceof SwarmError ? error : fileError(error, 'store the build context');
    } finally {
      this.#running--;
      await rm(directory, { recursive: true, force: true });
      if (failed) await this.sweep();
    }
  }

  async #buildIn(directory: string, request: BuildRequest): Promise<string> {
    const { clock, options } = this.#context;
    const { tuning } = options;
    const context = join(directory, 'context');
    await mkdir(context, { mode: 0o755 });
    const input = withIdleLimit(request.context, tuning.inputIdleMs, 'the build context', clock);
    await this.#receive(input, context, request.signal);
    const dockerfile = await findDockerfile(context, request.dockerfile);
    const imageId = await this.#run(directory, context, dockerfile, request);
    request.onLine(`Successfully built ${imageId.slice(0, 12)}`);
    for (const tag of request.tags) {
      await this.#context.names.run(() => tagImage(this.#context, imageId, tag, request.signal));
      request.onLine(`Successfully tagged ${familiarName(tag)}`);
    }
    await this.#context.lastUse.touch(imageId);
    return imageId;
  }

  async #receive(input: AsyncIterable<Uint8Array>, context: string, signal: AbortSignal): Promise<void> {
    const { options, reserve } = this.#context;
    const stop = new AbortController();
    const watch = reserve.watch((error) => stop.abort(error));
    try {
      await watch.ready;
      const both = AbortSignal.any([signal, stop.signal]);
      await extractContext(input, context, options.tuning.context, options.tuning.archive, both);
    } catch (error) {
      if (stop.signal.aborted) throw stop.signal.reason;
      throw error;
    } finally {
      watch.end();
    }
  }

  async #run(directory: string, context: string, dockerfile: string, request: BuildRequest): Promise<string> {
    const { buildah, options } = this.#context;
    const idFile = join(directory, 'image-id');
    const text = await readFile(dockerfile, 'utf8');
    const { onCommandLine, inEnvironment } = splitArguments(request.buildArgs);
    const result = await buildah.run({
      what: 'the build',
      args: (files) => buildArguments({ files, idFile, context, dockerfile, request, onCommandLine, inEnvironment }),
      environment: inEnvironment,
      registries: {
        hosts: hostsIn([text, ...Object.values(request.buildArgs)]),
        auths: authsFor([...request.credentials]),
      },
      timeoutMs: options.tuning.buildTimeoutMs,
      signal: request.signal,
      writes: true,
      onLine: request.onLine,
      contained: request.network === 'none' ? 'no-network' : 'host-network',
    });
    if (result.exitCode !== 0) throw classifyBuildFailure('the build', result.stderr, result.exitCode);
    const imageId = (await readFile(idFile, 'utf8')).trim().replace(/^sha256:/, '');
    if (isImageId(imageId)) return imageId;
    throw new SwarmError({ code: 'internal', reason: 'build-failed', message: 'the build gave no image id' });
  }

  /** Removes the working containers of builds that were killed, with their mounts. Never throws. */
  async sweep(): Promise<void> {
    if (!this.idle) return;
    const { buildah, logger, options } = this.#context;
    try {
      await buildah.run({
        what: 'removing working containers',
        args: () => ['rm', '--all'],
        timeoutMs: options.tuning.commandTimeoutMs,
        signal: new AbortController().signal,
        writes: false,
      });
    } catch (error) {
      logger.debug('cannot remove working containers', { error: String(error) });
    }
  }
}

function bad(field: string, message: string, hint: string): SwarmError {
  return new SwarmError({ code: 'invalid', reason: 'bad-field', field, message, hint });
}

function checkOptions(request: BuildRequest): void {
  for (const name of Object.keys(request.buildArgs))
    if (!ARGUMENT_NAME.test(name))
      throw bad(
        '--build-arg',
        `${JSON.stringify(name.slice(0, 100))} is not the name of a build argument`,
        'write NAME=VALUE',
      );
  for (const [name, value] of [...Object.entries(request.buildArgs), ...Object.entries(request.labels)])
    if (name.includes('\0') || value.includes('\0') || name === '' || name.startsWith('='))
      throw bad('--label', 'labels and build arguments are texts without NUL, and have a name', 'write KEY=VALUE');
  if (request.target !== '' && !STAGE_NAME.test(request.target))
    throw bad(
      '--target',
      `${JSON.stringify(request.target.slice(0, 100))} is not a stage`,
      'name a stage of the Dockerfile',
    );
}

/** The Dockerfile as a path that lies in the context, whatever links there are. */
async function findDockerfile(context: string, name: string): Promise<string> {
  const inside = pathInRoot(name);
  const missing = (why: string): SwarmError =>
    new SwarmError({
      code: 'invalid',
      reason: 'build-failed',
      field: '--file',
      message: `cannot read the Dockerfile ${JSON.stringify(name.slice(0, 200))}: ${why}`,
      hint: 'name a file of the context',
    });
  if (inside === undefined || inside === '') throw missing('it is not in the build context');
  const path = await realpath(join(context, inside)).catch(() => undefined);
  if (path === undefined) throw missing('no such file');
  const root = await realpath(context);
  if (!path.startsWith(`${root}/`)) throw missing('it leads out of the build context');
  const found = await lstat(path);
  if (!found.isFile() || found.size > DOCKERFILE_BYTES_MAX) throw missing('it is not a small file');
  // buildah reads this one by itself.
  const ignore = await lstat(join(context, '.dockerignore')).catch(() => undefined);
  if (ignore !== undefined && !ignore.isFile()) throw missing('.dockerignore is not a file');
  return path;
}

/** Hosts that the texts seem to speak of; one too many only means certificates that nobody asks for. */
export function hostsIn(texts: readonly string[]): readonly string[] {
  const hosts = new Set<string>();
  for (const text of texts) for (const match of text.matchAll(HOST_IN_TEXT)) hosts.add(match[1] ?? '');
  return [...hosts].slice(0, HOSTS_MAX);
}

interface SplitArguments {
  readonly onCommandLine: readonly string[];
  readonly inEnvironment: Readonly<Record<string, string>>;
}

/** Values go through the environment, which only root can read, unless buildah would take them as its own. */
function splitArguments(buildArgs: Readonly<Record<string, string>>): SplitArguments {
  const entries = Object.entries(buildArgs);
  return {
    onCommandLine: entries.filter(([name]) => OWN_VARIABLE.test(name)).map(([name, value]) => `${name}=${value}`),
    inEnvironment: Object.fromEntries(entries.filter(([name]) => !OWN_VARIABLE.test(name))),
  };
}

interface BuildArguments extends SplitArguments {
  readonly files: OperationFiles;
  readonly idFile: string;
  readonly context: string;
  readonly dockerfile: string;
  readonly request: BuildRequest;
}

function buildArguments(build: BuildArguments): readonly string[] {
  const { files, idFile, context, dockerfile, request } = build;
  const { os, architecture } = request.platform;
  const own = nodePlatform();
  // Naming the node's own makes buildah complain of build arguments that nobody gave.
  const foreign = os !== own.os || architecture !== own.architecture;
  return [
    ...['build', '--isolation', 'chroot', '--format', 'docker', '--layers', '--force-rm', '--identity-label=false'],
    ...['--retry', '0', '--signature-policy', files.policy, '--authfile', files.authFile, '--iidfile', idFile],
    ...['--file', dockerfile, `--pull=${request.pull}`],
    ...(foreign ? [`--os=${os}`, `--arch=${architecture}`] : []),
    ...(request.noCache ? ['--no-cache'] : []),
    ...(request.target === '' ? [] : ['--target', request.target]),
    ...[...build.onCommandLine, ...Object.keys(build.inEnvironment)].flatMap((entry) => ['--build-arg', entry]),
    ...Object.entries(request.labels).flatMap(([key, value]) => ['--label', `${key}=${value}`]),
    context,
  ];
}
