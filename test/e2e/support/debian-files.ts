/**
 * Programs of Debian packages with what they need to run, without installing anything: packages come through apt, are
 * unpacked aside, and the loader of the packages' own C library says which libraries a program needs.
 */
import { lstat, mkdir, readdir, readFile, readlink, stat, symlink } from 'node:fs/promises';
import { dirname, isAbsolute, join, relative } from 'node:path';
import { mustRun } from '#src/lab/run-command.ts';
import type { Member } from '#test/fixtures/image-archive.ts';

const APT_MS = 180_000;
/** As on a machine that has no package at all: then apt names all that there must be. */
const NOTHING_INSTALLED = ['-o', 'Dir::State::status=/dev/null'] as const;
/** Of all that a package depends on, what may hold a library that a program loads. */
const LIBRARIES = /^(lib.*|zlib1g|tzdata)$/;
/** Large, and not loaded by the programs themselves. */
const UNWANTED = /^(libllvm|libperl|libz3|libc-bin|libc-l10n|libpam-modules.*)|-perl$/;
const LINKS_MAX = 10;
const LOADERS = ['/lib64/ld-linux-x86-64.so.2', '/lib/ld-linux-aarch64.so.1'] as const;

export interface PackagesWanted {
  /** What apt is asked for. */
  readonly name: string;
  /** Of all that this depends on, packages with programs and data; those with libraries come by themselves. */
  readonly packages: RegExp;
}

/** apt does not have them here. */
export class PackagesMissing extends Error {}

/** Throws `PackagesMissing`. Downloads and unpacks below `directory`, an empty one. Returns the root that programs believe in. */
export async function unpackPackages(directory: string, wanted: PackagesWanted): Promise<string> {
  const packages = (await closure(wanted.name)).filter(
    (one) => wanted.packages.test(one) || (LIBRARIES.test(one) && !UNWANTED.test(one)),
  );
  const [downloads, root] = [join(directory, 'downloads'), join(directory, 'root')];
  for (const path of [downloads, root]) await mkdir(path);
  await apt(['env', '-C', downloads, 'apt-get', 'download', '-q', ...packages]);
  for (const file of await readdir(downloads)) await mustRun(['dpkg-deb', '-x', join(downloads, file), root]);
  for (const name of ['lib', 'lib64']) {
    const missing = await lstat(join(root, name)).then(
      () => false,
      () => true,
    );
    // Releases in which everything is below /usr bring these links in a package of their own.
    if (missing) await symlink(`usr/${name}`, join(root, name));
  }
  return root;
}

async function closure(name: string): Promise<readonly string[]> {
  const command = ['apt-get', ...NOTHING_INSTALLED, '-s', 'install', '--no-install-recommends', name];
  const text = await apt(command).catch(async () => {
    // A machine that never asked for packages knows of none.
    await apt(['apt-get', 'update', '-q']);
    return apt(command);
  });
  return text.split('\n').flatMap((line) => /^Inst (\S+)/.exec(line)?.[1] ?? []);
}

function apt(command: readonly string[]): Promise<string> {
  return mustRun(command, { timeoutMs: APT_MS }).catch((cause: unknown) => {
    const [, reason = String(cause)] = /^(E: .*)$/m.exec(String(cause)) ?? [];
    throw new PackagesMissing(`apt does not provide the packages: ${reason}`, { cause });
  });
}

/** Of whole directories, what is not for running programs, or needs what is unwanted. */
const UNWANTED_FILES = /\/(llvmjit.*|bitcode\/.*|man\/.*|.*\.a)$/;

/** Programs with the libraries that they load, and whole directories, as members of a layer. Paths begin with "/". */
export async function filesOf(
  root: string,
  programs: readonly string[],
  directories: readonly string[] = [],
): Promise<readonly Member[]> {
  const paths = new Set<string>(programs);
  for (const directory of directories)
    for (const path of await filesBelow(root, directory)) if (!UNWANTED_FILES.test(path)) paths.add(path);
  const loader = LOADERS[process.arch === 'arm64' ? 1 : 0];
  paths.add(loader);
  for (const path of [...paths].filter((one) => programs.includes(one) || one.endsWith('.so'))) {
    const text = await mustRun(['chroot', root, loader, '--list', path]);
    for (const [, library = ''] of text.matchAll(/=> (\/\S+)/g)) paths.add(library);
  }
  return Promise.all(
    [...paths].toSorted().map(async (path): Promise<Member> => {
      const real = await inRoot(root, path);
      return { name: path.slice(1), mode: (await stat(real)).mode & 0o777, content: await readFile(real) };
    }),
  );
}

async function filesBelow(root: string, directory: string): Promise<readonly string[]> {
  const entries = await readdir(join(root, directory), { recursive: true, withFileTypes: true });
  return entries
    .filter((entry) => entry.isFile())
    .map((entry) => `/${relative(root, join(entry.parentPath, entry.name))}`);
}

/** Absolute links of the packages lead nowhere on this machine: they are followed as in their own root. */
async function inRoot(root: string, path: string): Promise<string> {
  let at = path;
  for (let hop = 0; hop < LINKS_MAX; hop++) {
    const link = await readlink(join(root, at)).catch(() => undefined);
    if (link === undefined) break;
    at = isAbsolute(link) ? link : join(dirname(at), link);
  }
  return join(root, at);
}
