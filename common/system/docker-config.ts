/** Docker's config.json: who the user is at which registry, in the file itself or in the keeping of a helper program. */
import { spawn } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { SwarmError } from '../errors.ts';
import { isEmptyCredential, type RegistryCredential, splitBasic } from './registry-auth.ts';

/** The key of Docker Hub in config.json, and what helpers know it by. */
const HUB_SERVER = 'https://index.docker.io/v1/';
const HUB_HOSTS: readonly string[] = ['docker.io', 'index.docker.io', 'registry-1.docker.io'];
const CONFIG_BYTES_MAX = 1024 * 1024;
const HELPER_NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/;
const HELPER_OUTPUT_BYTES_MAX = 64 * 1024;
/** A helper that has not answered by then hangs, on a locked key ring most likely. */
const HELPER_TIMEOUT_MS = 30_000;
/** How helpers say that a secret is a token that stands for user and password. */
const TOKEN_USER = '<token>';

type Table = Readonly<Record<string, unknown>>;

export interface DockerConfigOptions {
  /** Directory of config.json. */
  readonly directory: string;
  /** For the helpers: PATH, HOME and whatever else they look at. */
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly helperTimeoutMs?: number;
}

/** The name of a registry in config.json, without scheme and path: `https://registry:5000/v1/` is `registry:5000`. */
function hostOf(server: string): string {
  return server.replace(/^https?:\/\//, '').replace(/\/.*$/, '');
}

function sameRegistry(key: string, host: string): boolean {
  const name = hostOf(key);
  return name === host || (HUB_HOSTS.includes(name) && HUB_HOSTS.includes(host));
}

function table(value: unknown): Table {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Table) : {};
}

function text(value: unknown): string {
  return typeof value === 'string' ? value : '';
}

export class DockerConfig {
  readonly #path: string;
  readonly #auths: Table;
  readonly #helpers: Table;
  readonly #defaultHelper: string;
  readonly #options: DockerConfigOptions;

  private constructor(path: string, document: Table, options: DockerConfigOptions) {
    this.#path = path;
    this.#auths = table(document['auths']);
    this.#helpers = table(document['credHelpers']);
    this.#defaultHelper = text(document['credsStore']);
    this.#options = options;
  }

  /** A file that is not there is an empty one. Throws `image-auth` for one that cannot be read. */
  static async load(options: DockerConfigOptions): Promise<DockerConfig> {
    const path = join(options.directory, 'config.json');
    const content = await readFile(path, 'utf8').catch((error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT' || error.code === 'ENOTDIR') return '{}';
      throw badConfig(path, `cannot be read: ${error.message}`);
    });
    if (content.length > CONFIG_BYTES_MAX) throw badConfig(path, `is larger than ${CONFIG_BYTES_MAX} bytes`);
    let document: unknown;
    try {
      document = JSON.parse(content);
    } catch {
      throw badConfig(path, 'is not JSON');
    }
    return new DockerConfig(path, table(document), options);
  }

  /**
   * The credential for a registry, `docker.io` or `host:port`; undefined when there is none.
   * @throws SwarmError `image-auth` when a helper fails.
   */
  async credential(host: string): Promise<RegistryCredential | undefined> {
    const helper = this.#helperFor(host);
    if (helper !== '') {
      const found = await this.#askHelper(helper, this.#serverFor(host));
      if (found !== undefined) return found;
    }
    for (const [key, value] of Object.entries(this.#auths)) {
      if (!sameRegistry(key, host)) continue;
      const credential = credentialOf(table(value));
      if (!isEmptyCredential(credential)) return credential;
    }
    return undefined;
  }

  /** Every registry that the file has something for. */
  registries(): readonly string[] {
    const names = [...Object.keys(this.#auths), ...Object.keys(this.#helpers)].map(hostOf);
    return [...new Set(names.map((name) => (HUB_HOSTS.includes(name) ? 'docker.io' : name)))];
  }

  #helperFor(host: string): string {
    for (const [key, value] of Object.entries(this.#helpers)) if (sameRegistry(key, host)) return text(value);
    return this.#defaultHelper;
  }

  /** What helpers file the registry under. */
  #serverFor(host: string): string {
    if (HUB_HOSTS.includes(host)) return HUB_SERVER;
    return Object.keys(this.#auths).find((key) => sameRegistry(key, host)) ?? host;
  }

  async #askHelper(helper: string, server: string): Promise<RegistryCredential | undefined> {
    if (!HELPER_NAME.test(helper))
      throw badConfig(this.#path, `names the helper ${JSON.stringify(helper.slice(0, 80))}`);
    const program = `docker-credential-${helper}`;
    const answer = await runHelper(program, server, this.#options);
    // The protocol has no code for it, only this sentence.
    if (answer.exitCode !== 0 && /credentials not found/i.test(answer.output)) return undefined;
    if (answer.exitCode !== 0)
      throw helperFailed(program, answer.output.trim().slice(0, 200) || `it ended with ${answer.exitCode}`);
    let document: Table;
    try {
      document = table(JSON.parse(answer.output));
    } catch {
      throw helperFailed(program, 'its answer is not JSON');
    }
    const username = text(document['Username']);
    const secret = text(document['Secret']);
    const isToken = username === TOKEN_USER;
    return {
      username: isToken ? '' : username,
      password: isToken ? '' : secret,
      identityToken: isToken ? secret : '',
      registryToken: '',
    };
  }
}

function credentialOf(entry: Table): RegistryCredential {
  const inline = splitBasic(text(entry['auth']));
  return {
    username: text(entry['username']) || inline.username,
    password: text(entry['password']) || inline.password,
    identityToken: text(entry['identitytoken']),
    registryToken: text(entry['registrytoken']),
  };
}

function badConfig(path: string, message: string): SwarmError {
  return new SwarmError({
    code: 'invalid',
    reason: 'image-auth',
    message: `${path} ${message}`,
    hint: 'correct the file, or log in again',
  });
}

function helperFailed(program: string, message: string): SwarmError {
  return new SwarmError({
    code: 'unavailable',
    reason: 'image-auth',
    message: `credential helper ${program}: ${message}`,
    hint: 'run the helper by hand, or log in to the registry again',
  });
}

interface HelperAnswer {
  readonly exitCode: number;
  readonly output: string;
}

/** `docker-credential-X get`, with the server on its standard input. What it says on stderr is not for us. */
function runHelper(program: string, server: string, options: DockerConfigOptions): Promise<HelperAnswer> {
  return new Promise((resolve, reject) => {
    const child = spawn(program, ['get'], {
      env: options.environment,
      stdio: ['pipe', 'pipe', 'ignore'],
    });
    // Not the option of spawn: that timer runs on when the program cannot be started, and the command does not end.
    const timer = setTimeout(() => child.kill('SIGKILL'), options.helperTimeoutMs ?? HELPER_TIMEOUT_MS);
    let output = '';
    child.stdout.setEncoding('utf8');
    child.stdout.on('data', (chunk: string) => {
      if (output.length < HELPER_OUTPUT_BYTES_MAX) output += chunk;
    });
    child.once('error', (error: NodeJS.ErrnoException) => {
      clearTimeout(timer);
      reject(helperFailed(program, error.code === 'ENOENT' ? 'it is not installed' : error.message));
    });
    child.once('close', (exitCode, signal) => {
      clearTimeout(timer);
      if (signal !== null) reject(helperFailed(program, 'it did not answer in time'));
      else resolve({ exitCode: exitCode ?? 1, output });
    });
    // A helper that does not read its input is its own affair.
    child.stdin.once('error', () => {});
    child.stdin.end(`${server}\n`);
  });
}
