/** Where a build's files come from, as `build PATH|-` and `--file` say. */
import { constants } from 'node:fs';
import { lstat, open, realpath, stat } from 'node:fs/promises';
import { isAbsolute, join, relative, resolve } from 'node:path';
import { CliError } from '../../../cli-errors.ts';
import type { CliContext } from '../../../context.ts';
import { openError, systemWords } from '../open-error.ts';
import { contextArchive, filesArchive } from './context-archive.ts';
import { DockerIgnore } from './docker-ignore.ts';
import { archiveOrText } from './sniff-archive.ts';

const DEFAULT_DOCKERFILE = 'Dockerfile';
const IGNORE_FILE = '.dockerignore';
/** The daemon takes no larger ones. */
const TEXT_BYTES_MAX = 4 * 1024 * 1024;
const READ_FLAGS = constants.O_RDONLY | constants.O_NONBLOCK;

export interface BuildContext {
  /** A tar stream. */
  readonly archive: AsyncIterable<Uint8Array>;
  /** Path of the Dockerfile within it; empty for the default one. */
  readonly dockerfile: string;
  /** Its text, where it is known: not when the context came as an archive. */
  readonly dockerfileText: string | undefined;
}

export interface ContextOptions {
  /** As given on the command line: a directory, or `-`. */
  readonly source: string;
  /** `--file`; `-` is standard input. */
  readonly file: string | undefined;
  /** Name for a Dockerfile that is not in the directory. */
  readonly generatedName: string;
}

/** Throws a CliError for what cannot be used. Nothing but the Dockerfile and .dockerignore is read yet. */
export async function findContext(context: CliContext, options: ContextOptions): Promise<BuildContext> {
  const { source, file } = options;
  if (source === '-' && file === '-')
    throw new CliError("invalid argument: can't use stdin for both build context and dockerfile");
  if (source === '-') return standardInput(context, file);
  if (/^(?:https?:\/\/|git:\/\/|git@|github\.com\/)/.test(source))
    throw new CliError(`unable to prepare context: ${source}: builds from addresses are not supported`, {
      hint: 'fetch it and build the directory, or pipe an archive of it into `swarm image build -`',
    });
  return directory(context, options);
}

async function standardInput(context: CliContext, file: string | undefined): Promise<BuildContext> {
  if (context.stdin.isTerminal)
    throw new CliError('requested a build from stdin, but stdin is a terminal', {
      hint: 'pipe an archive or a Dockerfile into it, or name a directory',
    });
  const input = await archiveOrText(context.stdin.chunks(), TEXT_BYTES_MAX);
  if (input.kind === 'archive') return { archive: input.bytes, dockerfile: file ?? '', dockerfileText: undefined };
  if (file !== undefined)
    throw new CliError('ambiguous Dockerfile source: both stdin and flag correspond to Dockerfiles');
  return {
    archive: filesArchive(new Map([[DEFAULT_DOCKERFILE, input.bytes]])),
    dockerfile: '',
    dockerfileText: textOf(input.bytes),
  };
}

/** A Dockerfile, and how it gets into the context. */
interface Dockerfile {
  readonly bytes: Uint8Array;
  /** Path within the context; undefined when it lies elsewhere. */
  readonly inside: string | undefined;
  /** Path of a .dockerignore of its own. */
  readonly ownIgnoreFile: string | undefined;
}

async function directory(context: CliContext, options: ContextOptions): Promise<BuildContext> {
  const root = await rootOf(options.source);
  const dockerfile = await findDockerfile(context, root, options.file);
  const ignoreText = await ignoreTextOf(root, dockerfile);
  const name = dockerfile.inside ?? options.generatedName;
  const extra = new Map<string, Uint8Array>();
  if (dockerfile.inside === undefined) {
    // The daemon must not copy into images what is no file of the user's.
    extra.set(name, dockerfile.bytes);
    extra.set(IGNORE_FILE, Buffer.from(`${ignoreText}\n${name}\n`));
  }
  const ignore = DockerIgnore.parse(ignoreText).keeping([name, `${name}${IGNORE_FILE}`, IGNORE_FILE]);
  return {
    archive: contextArchive({ root, ignore, extra }),
    dockerfile: name,
    dockerfileText: textOf(dockerfile.bytes),
  };
}

async function rootOf(source: string): Promise<string> {
  const path = resolve(source);
  try {
    const root = await realpath(path);
    if ((await stat(root)).isDirectory()) return root;
  } catch (thrown) {
    const isAbsent = (thrown as NodeJS.ErrnoException).code === 'ENOENT';
    const why = isAbsent ? 'not found' : systemWords(thrown);
    throw new CliError(`unable to prepare context: path ${JSON.stringify(source)} ${why}`);
  }
  throw new CliError(`unable to prepare context: context must be a directory: ${path}`, {
    hint: 'name the directory, and the Dockerfile with --file',
  });
}

async function findDockerfile(context: CliContext, root: string, file: string | undefined): Promise<Dockerfile> {
  if (file === '-') {
    const { bytes } = await archiveOrText(context.stdin.chunks(), TEXT_BYTES_MAX, 'text');
    return { bytes, inside: undefined, ownIgnoreFile: undefined };
  }
  // A name that is given is one of the current directory's, not of the context's.
  const path = file === undefined ? await defaultDockerfile(root) : resolve(file);
  const real = await realpath(path).catch((error: unknown) => {
    throw new CliError(
      `unable to prepare context: unable to evaluate symlinks in Dockerfile path: lstat ${path}: ${systemWords(error)}`,
      { hint: 'name the Dockerfile with --file' },
    );
  });
  const inside = relative(root, real);
  const isInside = inside !== '..' && !inside.startsWith('../') && !isAbsolute(inside);
  return {
    bytes: await readSmallFile(real),
    inside: isInside ? inside : undefined,
    ownIgnoreFile: `${path}${IGNORE_FILE}`,
  };
}

/** Docker takes `dockerfile` where there is no `Dockerfile`. */
async function defaultDockerfile(root: string): Promise<string> {
  const path = join(root, DEFAULT_DOCKERFILE);
  const lowerCase = join(root, DEFAULT_DOCKERFILE.toLowerCase());
  return !(await exists(path)) && (await exists(lowerCase)) ? lowerCase : path;
}

async function exists(path: string): Promise<boolean> {
  try {
    await lstat(path);
    return true;
  } catch {
    return false;
  }
}

/** A Dockerfile's own ignore file (`web.Dockerfile.dockerignore`) counts in place of the directory's. */
async function ignoreTextOf(root: string, dockerfile: Dockerfile): Promise<string> {
  for (const path of [dockerfile.ownIgnoreFile, join(root, IGNORE_FILE)])
    if (path !== undefined && (await exists(path))) return textOf(await readSmallFile(path));
  return '';
}

async function readSmallFile(path: string): Promise<Uint8Array> {
  const file = await open(path, READ_FLAGS).catch((error: unknown) => {
    throw openError('open', path, error);
  });
  try {
    const stats = await file.stat();
    if (!stats.isFile()) throw new CliError(`${path} is not a file`);
    if (stats.size > TEXT_BYTES_MAX) throw new CliError(`${path} is larger than ${TEXT_BYTES_MAX} bytes`);
    return await file.readFile();
  } finally {
    await file.close();
  }
}

function textOf(bytes: Uint8Array): string {
  return new TextDecoder().decode(bytes);
}
