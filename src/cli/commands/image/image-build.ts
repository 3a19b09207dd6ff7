import { randomBytes } from 'node:crypto';
import { rm, writeFile } from 'node:fs/promises';
import { decimalSize } from '#common/size.ts';
import type { BuildImageRequest, BuildOptions } from '#gen/swarm/v1/images.ts';
import { imageId } from '../../../docker-shape/from-images.ts';
import { CliError } from '../../cli-errors.ts';
import type { CommandImplementation, Invocation } from '../../command.ts';
import { type CliContext, printLine, printWarning } from '../../context.ts';
import type { Flag, FlagValues } from '../../flags.ts';
import { keyValue, toRecord, withCallersValue } from '../../values/key-values.ts';
import { BUILD, BUILD_FLAGS } from './build-flags.ts';
import { inChunks } from './chunks.ts';
import { refuseContentTrust } from './content-trust.ts';
import { baseRegistries } from './context/base-registries.ts';
import { type BuildContext, findContext } from './context/find-context.ts';
import { openError } from './open-error.ts';
import { registryLogins } from './registry-logins.ts';

/** Of a quiet build's output, kept for the case that it fails. */
const LINES_KEPT = 10_000;

export const imageBuild: CommandImplementation = {
  flags: BUILD_FLAGS,
  examples: [
    'swarm image build --tag web:1.0 .',
    'swarm image build --quiet --tag web:1.0 --build-arg VERSION=1.0 --file web.Dockerfile .',
    'git archive HEAD | swarm image build --tag web:1.0 -',
  ],
  run: buildImage,
};

async function buildImage({ context, flags, arguments: [source = ''] }: Invocation): Promise<void> {
  refuseContentTrust(flags);
  refuseKeeping(flags, BUILD.rm);
  refuseKeeping(flags, BUILD.forceRm);
  const build = await findContext(context, {
    source,
    file: flags.value(BUILD.file),
    generatedName: `.dockerfile.${randomBytes(10).toString('hex')}`,
  });
  const idFile = flags.value(BUILD.iidfile);
  // Who reads it after a failure must not find the id of an earlier build.
  if (idFile !== undefined) await writing(idFile, rm(idFile, { force: true }));
  const options = await buildOptions(context, flags, build);
  const id = await run(context, options, build, flags.isSet(BUILD.quiet));
  if (idFile !== undefined) await writing(idFile, writeFile(idFile, imageId(id)));
  if (flags.isSet(BUILD.quiet)) printLine(context, imageId(id));
}

function refuseKeeping(flags: FlagValues, flag: Flag<boolean>): void {
  if (flags.value(flag) !== false) return;
  throw new CliError(`--${flag.name}=false is not supported: containers of builds are always removed`, {
    hint: 'leave it out',
  });
}

async function writing(path: string, work: Promise<void>): Promise<void> {
  try {
    await work;
  } catch (thrown) {
    throw openError('open', path, thrown);
  }
}

async function buildOptions(context: CliContext, flags: FlagValues, build: BuildContext): Promise<BuildOptions> {
  const buildArgs = toRecord(
    flags
      .list(BUILD.buildArg)
      .map((entry) => keyValue(withCallersValue(entry, context.variables)))
      .filter(({ value }) => value !== undefined),
  );
  return {
    tags: flags.list(BUILD.tag),
    dockerfile: build.dockerfile,
    buildArgs,
    target: flags.value(BUILD.target) ?? '',
    noCache: flags.isSet(BUILD.noCache),
    pull: flags.isSet(BUILD.pull),
    labels: toRecord(flags.list(BUILD.label)),
    platform: flags.value(BUILD.platform) ?? '',
    registryAuths: await loginsFor(context, build, buildArgs),
    network: flags.value(BUILD.network) ?? '',
  };
}

/** Most base images need no login, so that one that cannot be had is no reason not to build. */
async function loginsFor(
  context: CliContext,
  { dockerfileText }: BuildContext,
  buildArgs: Readonly<Record<string, string>>,
): Promise<Readonly<Record<string, string>>> {
  const hosts = dockerfileText === undefined ? 'all' : baseRegistries(dockerfileText, buildArgs);
  try {
    return await registryLogins(context, hosts);
  } catch (thrown) {
    if (!(thrown instanceof CliError)) throw thrown;
    printWarning(context, `warning: building without registry logins: ${thrown.message}`);
    return {};
  }
}

/** Resolves with the id of the image. */
async function run(context: CliContext, options: BuildOptions, build: BuildContext, isQuiet: boolean): Promise<string> {
  const api = await context.api();
  const sending = new Sending(options, build.archive, (bytes) => {
    if (!isQuiet) printLine(context, `Sending build context to swarmd  ${decimalSize(bytes)}`);
  });
  const kept: string[] = [];
  try {
    for await (const { event } of api.images.buildImage(sending.requests())) {
      if (event?.kind === 'imageId') return event.value;
      if (event?.kind !== 'line') continue;
      if (!isQuiet) context.stdout.write(`${event.value}\n`);
      else if (kept.push(event.value) > LINES_KEPT) kept.shift();
    }
  } catch (thrown) {
    for (const line of kept) printWarning(context, line);
    sending.throwFailure();
    throw thrown;
  }
  sending.throwFailure();
  throw new CliError('the daemon did not say what became of the build', { hint: 'build again' });
}

/** What the daemon is sent. A file that cannot be read ends the call, whose own error is then only the consequence. */
class Sending {
  readonly #options: BuildOptions;
  readonly #archive: AsyncIterable<Uint8Array>;
  readonly #onSent: (bytes: number) => void;
  #failure: { readonly thrown: unknown } | undefined;

  constructor(options: BuildOptions, archive: AsyncIterable<Uint8Array>, onSent: (bytes: number) => void) {
    this.#options = options;
    this.#archive = archive;
    this.#onSent = onSent;
  }

  /** Throws what the context could not be read for, if it could not. */
  throwFailure(): void {
    if (this.#failure !== undefined) throw this.#failure.thrown;
  }

  async *requests(): AsyncGenerator<BuildImageRequest> {
    yield { part: { kind: 'options', value: this.#options } };
    let bytes = 0;
    try {
      for await (const chunk of inChunks(this.#archive)) {
        bytes += chunk.length;
        yield { part: { kind: 'chunk', value: chunk } };
      }
      this.#onSent(bytes);
    } catch (thrown) {
      this.#failure = { thrown };
      throw thrown;
    }
  }
}
