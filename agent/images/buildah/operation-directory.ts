/** What one run of buildah sees of the world: its own configuration, credentials and certificates, and nothing else. */
import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { RegistryAccess } from '../registry/registry-access.ts';

/** The registries that an operation may talk to, and how. */
export interface OperationRegistries {
  readonly access: RegistryAccess;
  /** `host` or `host:port` of those that the operation is known to need. */
  readonly hosts: readonly string[];
  /** `host` -> base64 of `user:password`, in the form of Docker's config.json. */
  readonly auths: Readonly<Record<string, { readonly auth?: string; readonly identitytoken?: string }>>;
}

export interface OperationFiles {
  readonly directory: string;
  readonly home: string;
  /** Temporary files of this run. */
  readonly temporary: string;
  readonly registriesConf: string;
  readonly policy: string;
  readonly authFile: string;
  /** Of the first host; an empty one when it has none. */
  readonly certificates: string;
}

function toml(text: string): string {
  return JSON.stringify(text);
}

/** Names without a registry mean Docker Hub's; nothing is guessed, and no file of the host is read. */
function registriesConf(registries: OperationRegistries): string {
  const lines = ['unqualified-search-registries = ["docker.io"]', 'short-name-mode = "disabled"'];
  const locations = new Set([
    ...registries.access.insecureHosts,
    ...registries.hosts.filter((host) => registries.access.isInsecure(host)),
  ]);
  for (const location of locations)
    lines.push(
      '',
      '[[registry]]',
      `${location.startsWith('*.') ? 'prefix' : 'location'} = ${toml(location)}`,
      'insecure = true',
    );
  return `${lines.join('\n')}\n`;
}

/** Signatures are not asked for: what is trusted is the registry, by TLS, and the digest. */
const POLICY = JSON.stringify({ default: [{ type: 'insecureAcceptAnything' }] });

/** Where the directories of operations are made. */
export interface OperationPlaces {
  /** In memory, mostly: configuration and credentials, which no disk has to see, and which fit on a full one. */
  readonly configuration: string;
  /** On the disk of the images: temporary files, as large as layers. Undefined for operations that need none. */
  readonly temporary: string | undefined;
  /** Kept from one build to the next. */
  readonly buildCache: string;
}

/** Makes private directories with everything in them; removed by the caller with `removeOperationDirectory`. */
export async function makeOperationDirectory(
  places: OperationPlaces,
  registries: OperationRegistries,
): Promise<OperationFiles> {
  const directory = await mkdtemp(join(places.configuration, 'op-'));
  const files: OperationFiles = {
    directory,
    home: join(directory, 'home'),
    temporary: places.temporary === undefined ? directory : await mkdtemp(join(places.temporary, 'tmp-')),
    registriesConf: join(directory, 'registries.conf'),
    policy: join(directory, 'policy.json'),
    authFile: join(directory, 'auth.json'),
    certificates: join(directory, 'certs'),
  };
  try {
    await fill(files, registries);
    if (places.temporary !== undefined) await linkBuildCache(files.temporary, places.buildCache);
    return files;
  } catch (error) {
    await removeOperationDirectory(files);
    throw error;
  }
}

export async function removeOperationDirectory(files: OperationFiles): Promise<void> {
  for (const path of [files.temporary, files.directory]) await rm(path, { recursive: true, force: true });
}

/** buildah keeps what `RUN --mount=type=cache` holds among its temporary files; it has to outlive the run. */
async function linkBuildCache(temporary: string, buildCache: string): Promise<void> {
  // Releases before 1.31 call it by the first name.
  for (const name of ['buildah-cache', `buildah-cache-${process.getuid?.() ?? 0}`])
    await symlink(buildCache, join(temporary, name));
}

async function fill(files: OperationFiles, registries: OperationRegistries): Promise<void> {
  // Where a build looks for the certificates of each registry, before it looks in places of the host.
  const perHost = join(files.home, '.config/containers/certs.d');
  await mkdir(perHost, { recursive: true, mode: 0o700 });
  const writePrivate = (path: string, text: string): Promise<void> =>
    writeFile(path, text, { mode: 0o600, flag: 'wx' });
  await writePrivate(files.registriesConf, registriesConf(registries));
  await writePrivate(files.policy, POLICY);
  await writePrivate(files.authFile, JSON.stringify({ auths: registries.auths }));
  const [first] = registries.hosts;
  const source = first === undefined ? undefined : await registries.access.certificateDirectory(first);
  if (source === undefined) await mkdir(files.certificates, { mode: 0o700 });
  else await symlink(source, files.certificates);
  for (const host of registries.hosts) {
    const found = await registries.access.certificateDirectory(host);
    if (found !== undefined) await symlink(found, join(perHost, host));
  }
}
