/** The user's contexts: a directory each, which nobody else may look into. */
import { constants, type Stats } from 'node:fs';
import { access, chmod, mkdir, readdir, rename, rm, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { SwarmError } from '#common/errors.ts';
import { makePrivateDirectory, writeFileAtomic } from '#common/system/atomic-file.ts';
import { readBounded } from '../bounded-file.ts';
import { CliError } from '../cli-errors.ts';
import { systemWords } from '../commands/image/open-error.ts';
import { BUNDLE_BYTES_MAX, type ClientBundle, checkBundle, damaged, parseFacts } from './client-bundle.ts';
import { type ContextPaths, checkContextName, DEFAULT_CONTEXT } from './context-paths.ts';

/** The files of a bundle, in a directory of its own. */
const FILES = { facts: 'context.json', roots: 'ca.pem', certificate: 'cert.pem', key: 'key.pem' } as const;

/** Bits of a mode that let others than the owner in. */
const OTHERS = 0o077;

export function contextDirectory({ contexts }: ContextPaths, name: string): string {
  return join(contexts, checkContextName(name));
}

/** @throws CliError for a context that is not there, damaged, or open to others */
export async function readContext(paths: ContextPaths, name: string): Promise<ClientBundle> {
  const directory = contextDirectory(paths, name);
  try {
    checkPrivate(await stat(directory), directory, 0o700);
    checkPrivate(await stat(join(directory, FILES.key)), join(directory, FILES.key), 0o600);
  } catch (thrown) {
    if (thrown instanceof CliError) throw thrown;
    if ((thrown as NodeJS.ErrnoException).code === 'ENOENT' && !(await exists(directory))) throw unknownContext(name);
  }
  return readBundleDirectory(directory, `context ${name}`);
}

export function unknownContext(name: string): CliError {
  return new CliError(`context ${JSON.stringify(name)}: context not found`, {
    hint: 'see `swarm context ls`; a bundle of `swarm client create` is taken in with `swarm context import`',
  });
}

function checkPrivate({ mode, uid }: Stats, path: string, wanted: number): void {
  const own = process.getuid?.();
  if (own !== undefined && uid !== own)
    throw new CliError(`${path} belongs to another user (${uid})`, { hint: 'import the context as yourself' });
  if ((mode & OTHERS) === 0) return;
  throw new CliError(`${path} is open to other users (mode ${(mode & 0o777).toString(8)})`, {
    hint: `the key may have been read: renew it (swarm client renew), or, if not, chmod ${wanted.toString(8)} ${path}`,
  });
}

/** The four files. `what` begins the error's message. */
export async function readBundleDirectory(directory: string, what: string): Promise<ClientBundle> {
  const read = async (file: string): Promise<string> => {
    const path = join(directory, file);
    try {
      const bytes = await readBounded(path, BUNDLE_BYTES_MAX);
      if (bytes === undefined) throw damaged(what, `${file} is too large`);
      return bytes.toString('utf8');
    } catch (thrown) {
      if (thrown instanceof CliError) throw thrown;
      throw damaged(what, `${file}: ${systemWords(thrown)}`);
    }
  };
  const [facts, rootsPem, certificatePem, keyPem] = await Promise.all([
    read(FILES.facts),
    read(FILES.roots),
    read(FILES.certificate),
    read(FILES.key),
  ]);
  return checkBundle({ facts: parseFacts(facts, what), rootsPem, certificatePem, keyPem }, what);
}

/** @throws CliError where `writeBundleDirectory` could not write, as far as that can be told before */
export async function bundleMayBeWritten(directory: string): Promise<void> {
  if (await exists(directory)) throw inTheWay(directory);
  const parent = dirname(directory);
  try {
    await access(parent, constants.W_OK | constants.X_OK);
  } catch (thrown) {
    throw new CliError(`cannot write ${directory}: ${parent}: ${systemWords(thrown)}`);
  }
}

/** Writes the files into a new directory, whole or not at all. @throws CliError when something is there already */
export async function writeBundleDirectory(directory: string, bundle: ClientBundle): Promise<void> {
  if (await exists(directory)) throw inTheWay(directory);
  await placeBundle(directory, bundle, (temporary) => rename(temporary, directory));
}

/** Writes the files beside the directory; `place` puts them there once they are whole. */
async function placeBundle(
  directory: string,
  bundle: ClientBundle,
  place: (temporary: string) => Promise<void>,
): Promise<void> {
  const temporary = join(dirname(directory), `.${process.pid}-${Math.floor(performance.now() * 1000)}.tmp`);
  try {
    await mkdir(temporary, { mode: 0o700 });
    await chmod(temporary, 0o700); // whatever the umask is
    await writeFileAtomic(join(temporary, FILES.key), bundle.keyPem, 0o600);
    await writePublicParts(temporary, bundle);
    await place(temporary);
  } catch (thrown) {
    await rm(temporary, { recursive: true, force: true });
    const { code } = thrown as NodeJS.ErrnoException;
    if (code === 'ENOTEMPTY' || code === 'EEXIST' || code === 'ENOTDIR') throw inTheWay(directory);
    // No daemon has said it.
    if (thrown instanceof SwarmError) throw new CliError(thrown.message, { hint: thrown.hint });
    throw new CliError(`cannot write ${directory}: ${systemWords(thrown)}`);
  }
}

/**
 * Writes what `change` makes of the context as it is now. Another command may have written it since it was read, and
 * `context import --force` may have put another key there, to which none of this belongs.
 * @throws CliError where the context has another key than this, or is gone
 */
export async function updateContext(
  paths: ContextPaths,
  name: string,
  keyPem: string,
  change: (now: ClientBundle) => ClientBundle,
): Promise<ClientBundle> {
  const now = await readContext(paths, name);
  if (now.keyPem !== keyPem)
    throw new CliError(`context ${name} was replaced in the meantime`, { hint: 'repeat the command' });
  const changed = change(now);
  await writePublicParts(contextDirectory(paths, name), changed);
  return changed;
}

/** What may change under the same key. The certificate is last: the others are as good with the one before. */
async function writePublicParts(directory: string, bundle: ClientBundle): Promise<void> {
  await writeFileAtomic(join(directory, FILES.roots), bundle.rootsPem, 0o600);
  await writeFileAtomic(join(directory, FILES.facts), `${JSON.stringify(bundle.facts, undefined, 2)}\n`, 0o600);
  await writeFileAtomic(join(directory, FILES.certificate), bundle.certificatePem, 0o600);
}

/** When what managers say was last written there. */
export async function lookedAtMs(paths: ContextPaths, name: string): Promise<number> {
  return (await stat(join(contextDirectory(paths, name), FILES.certificate))).mtimeMs;
}

function inTheWay(directory: string): CliError {
  return new CliError(`${directory} exists`, { hint: 'name another directory, or remove that one' });
}

export async function addContext(
  paths: ContextPaths,
  name: string,
  bundle: ClientBundle,
  mayReplace: boolean,
): Promise<void> {
  const directory = contextDirectory(paths, name);
  if (name === DEFAULT_CONTEXT)
    throw new CliError('"default" is a reserved context name', { hint: 'it is the daemon of this machine' });
  await makePrivateDirectory(paths.contexts);
  await clearLeftovers(paths);
  if (await exists(directory)) {
    if (!mayReplace)
      throw new CliError(`context ${JSON.stringify(name)} already exists`, {
        hint: 'choose another name, or replace it with --force',
      });
    await replaceContext(paths, name, bundle);
    return;
  }
  await writeBundleDirectory(directory, bundle);
}

/**
 * The new one is whole before the one of before goes out of its way. Between the two renames there is none under this name:
 * whoever is ended just then finds the one of before with the next import.
 */
async function replaceContext(paths: ContextPaths, name: string, bundle: ClientBundle): Promise<void> {
  const directory = contextDirectory(paths, name);
  const before = join(paths.contexts, `.${name}.${process.pid}.old`);
  await placeBundle(directory, bundle, async (temporary) => {
    await rename(directory, before);
    try {
      await rename(temporary, directory);
    } catch (thrown) {
      await rename(before, directory);
      throw thrown;
    }
  });
  await rm(before, { recursive: true, force: true });
}

/** A bundle that was being written, or a context that was being replaced, by the process of that number. */
const LEFTOVER = /^\.(?:(?<writer>\d+)-\d+\.tmp|(?<name>[a-zA-Z0-9][a-zA-Z0-9_.+-]*)\.(?<replacer>\d+)\.old)$/;

/** Private keys are in what a command leaves that was ended while it wrote: they are not to lie around for ever. */
async function clearLeftovers(paths: ContextPaths): Promise<void> {
  for (const entry of await readdir(paths.contexts)) {
    const { writer, name, replacer } = LEFTOVER.exec(entry)?.groups ?? {};
    const pid = Number(writer ?? replacer ?? 0);
    if (pid === 0 || isAlive(pid)) continue;
    const path = join(paths.contexts, entry);
    const directory = name === undefined ? undefined : contextDirectory(paths, name);
    const isWanted = directory !== undefined && !(await exists(directory));
    // What cannot be taken away is not in the way of the command.
    await (isWanted ? rename(path, directory) : rm(path, { recursive: true, force: true })).catch(() => {});
  }
}

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch (thrown) {
    // It is there, and another user's.
    return (thrown as NodeJS.ErrnoException).code === 'EPERM';
  }
}

export async function contextExists(paths: ContextPaths, name: string): Promise<boolean> {
  return name === DEFAULT_CONTEXT || exists(contextDirectory(paths, name));
}

export async function removeContext(paths: ContextPaths, name: string): Promise<void> {
  // While it is there: what an import has left of an earlier one would be taken for it afterwards.
  await clearLeftovers(paths);
  await rm(contextDirectory(paths, name), { recursive: true });
}

export async function useContext({ current }: ContextPaths, name: string): Promise<void> {
  if (name === DEFAULT_CONTEXT) {
    await rm(current, { force: true });
    return;
  }
  await makePrivateDirectory(dirname(current));
  await writeFileAtomic(current, `${checkContextName(name)}\n`, 0o600);
}

async function exists(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  );
}
