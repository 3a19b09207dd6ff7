/** How to talk to which registry: certificates, and where plain HTTP is allowed. */
import { readdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { rootCertificates } from 'node:tls';
import { SwarmError } from '#common/errors.ts';

export interface RegistryAccessOptions {
  readonly insecureRegistries: readonly string[];
  readonly loopbackInsecure: boolean;
  readonly certificateDirectories: readonly string[];
  readonly systemCertificates: readonly string[];
}

export interface RegistryCertificates {
  /** PEM of all roots to trust: the system's (or Node's, where there are none) and the registry's own. */
  readonly roots: readonly string[];
  readonly clients: readonly { readonly certificate: string; readonly key: string }[];
}

const HOST = /^(?:\*\.)?(?:[a-zA-Z0-9.-]+|\[[a-fA-F0-9:]+\])(?::[0-9]{1,5})?$/;
const LOOPBACK = /^(?:127(?:\.[0-9]{1,3}){3}|localhost|\[::1\])(?::[0-9]+)?$/;

async function readable(path: string): Promise<string | undefined> {
  return readFile(path, 'utf8').catch(() => undefined);
}

export class RegistryAccess {
  readonly #options: RegistryAccessOptions;

  /** @throws SwarmError for an entry that is not a host. */
  constructor(options: RegistryAccessOptions) {
    for (const host of options.insecureRegistries)
      if (!HOST.test(host))
        throw new SwarmError({
          code: 'invalid',
          reason: 'bad-flag',
          field: '--insecure-registry',
          message: `${JSON.stringify(host)} is not a registry`,
          hint: 'write host, host:port or *.domain',
        });
    this.#options = options;
  }

  get insecureHosts(): readonly string[] {
    return this.#options.insecureRegistries;
  }

  /** Whether `host` or `host:port` may be spoken to over plain HTTP or with a certificate that nobody vouches for. */
  isInsecure(host: string): boolean {
    if (this.#options.loopbackInsecure && LOOPBACK.test(host)) return true;
    return this.#options.insecureRegistries.some(
      (entry) => entry === host || (entry.startsWith('*.') && host.replace(/:[0-9]+$/, '').endsWith(entry.slice(1))),
    );
  }

  /** The directory with the certificates of the registry; undefined when it has none. */
  async certificateDirectory(host: string): Promise<string | undefined> {
    if (!HOST.test(host) || host.includes('*') || host.includes('..')) return undefined;
    for (const parent of this.#options.certificateDirectories) {
      const path = join(parent, host);
      const found = await stat(path).catch(() => undefined);
      if (found?.isDirectory() === true) return path;
    }
    return undefined;
  }

  async certificates(host: string): Promise<RegistryCertificates> {
    const directory = await this.certificateDirectory(host);
    const names = directory === undefined ? [] : (await readdir(directory)).toSorted();
    const own: string[] = [];
    const clients: { certificate: string; key: string }[] = [];
    for (const name of names) {
      const path = join(directory ?? '', name);
      if (name.endsWith('.crt')) own.push(await this.#mustRead(path));
      if (name.endsWith('.cert'))
        clients.push({
          certificate: await this.#mustRead(path),
          key: await this.#mustRead(path.replace(/cert$/, 'key')),
        });
    }
    const system = await this.#systemRoots();
    return { roots: [...(system ?? rootCertificates), ...own], clients };
  }

  async #mustRead(path: string): Promise<string> {
    const text = await readable(path);
    if (text !== undefined) return text;
    throw new SwarmError({
      code: 'precondition',
      reason: 'registry-tls',
      message: `cannot read ${path}`,
      hint: 'a client certificate name.cert needs a key name.key beside it',
    });
  }

  async #systemRoots(): Promise<readonly string[] | undefined> {
    for (const path of this.#options.systemCertificates) {
      const text = await readable(path);
      if (text !== undefined) return [text];
    }
    return undefined;
  }
}
