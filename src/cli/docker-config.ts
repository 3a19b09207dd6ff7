/** Registry logins as `docker login` keeps them: config.json, and the credential helpers that it names. */
import { spawn } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { parseImageReference } from '#common/image-reference.ts';
import { CliError } from './cli-errors.ts';

/** The default registry's key in config.json, from the time of its first protocol. */
const DEFAULT_REGISTRY_KEY = 'https://index.docker.io/v1/';

const HELPER_TIMEOUT_MS = 10_000;
const HELPER_OUTPUT_BYTES = 64 * 1024;

/** What credential helpers answer for a login with a token instead of a password. */
const TOKEN_USER = '<token>';

interface DockerConfig {
  readonly auths?: Readonly<Record<string, { readonly auth?: string; readonly identitytoken?: string }>>;
  readonly credHelpers?: Readonly<Record<string, string>>;
  readonly credsStore?: string;
}

interface Login {
  readonly username: string;
  readonly password: string;
  readonly identityToken: string;
}

/**
 * The login for the image's registry in the form that the daemon takes (base64 of Docker's auth JSON), or an empty text
 * when there is none. Throws a CliError when config.json or a helper cannot be used.
 */
export async function registryAuthOf(image: string, configDirectory: string): Promise<string> {
  const parsed = parseImageReference(image);
  if (!parsed.ok) return '';
  const config = await readConfig(join(configDirectory, 'config.json'));
  const server = parsed.value.domain === 'docker.io' ? DEFAULT_REGISTRY_KEY : parsed.value.domain;
  const login = await findLogin(config, server);
  if (login === undefined) return '';
  const { username, password, identityToken } = login;
  const auth =
    identityToken === ''
      ? { username, password, serveraddress: server }
      : { identitytoken: identityToken, serveraddress: server };
  return Buffer.from(JSON.stringify(auth)).toString('base64url');
}

async function readConfig(path: string): Promise<DockerConfig> {
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (thrown) {
    if ((thrown as NodeJS.ErrnoException).code === 'ENOENT') return {};
    throw new CliError(`cannot read ${path}: ${(thrown as Error).message}`);
  }
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value === 'object' && value !== null) return value;
  } catch {
    // Said below.
  }
  throw new CliError(`${path} is not valid JSON`, { hint: 'log in again, or correct the file' });
}

async function findLogin(config: DockerConfig, server: string): Promise<Login | undefined> {
  const helper = ownValue(config.credHelpers, server) ?? config.credsStore;
  if (helper !== undefined && helper !== '') return askHelper(helper, server);
  const entry = Object.entries(config.auths ?? {}).find(
    ([key]) => key === server || hostOf(key) === hostOf(server),
  )?.[1];
  if (entry === undefined) return undefined;
  const [, username = '', password = ''] = /^([^:]*):(.*)$/s.exec(decode(entry.auth ?? '')) ?? [];
  return { username, password, identityToken: entry.identitytoken ?? '' };
}

function ownValue<T>(map: Readonly<Record<string, T>> | undefined, key: string): T | undefined {
  return map !== undefined && Object.hasOwn(map, key) ? map[key] : undefined;
}

function decode(base64: string): string {
  return Buffer.from(base64, 'base64').toString('utf8').replace(/\0+$/, '');
}

/** Keys may be written as addresses: `https://registry.example.com/v2/`. */
function hostOf(key: string): string {
  return key.replace(/^https?:\/\//, '').replace(/\/.*$/, '');
}

async function askHelper(helper: string, server: string): Promise<Login | undefined> {
  if (!/^[a-zA-Z0-9_.-]+$/.test(helper))
    throw new CliError(`credential helper ${JSON.stringify(helper)}: not a valid name`, {
      hint: 'correct config.json',
    });
  const program = `docker-credential-${helper}`;
  const { code, output } = await runHelper(program, server);
  if (code !== 0) {
    if (/credentials not found/i.test(output)) return undefined;
    throw new CliError(`${program} failed: ${output.trim() || `exit code ${code}`}`);
  }
  try {
    const { Username: username = '', Secret: secret = '' } = JSON.parse(output) as {
      Username?: string;
      Secret?: string;
    };
    if (username === TOKEN_USER) return { username: '', password: '', identityToken: secret };
    return { username, password: secret, identityToken: '' };
  } catch {
    throw new CliError(`${program} did not answer with JSON`);
  }
}

async function runHelper(program: string, input: string): Promise<{ readonly code: number; readonly output: string }> {
  return new Promise((resolve, reject) => {
    const child = spawn(program, ['get'], { stdio: ['pipe', 'pipe', 'inherit'], timeout: HELPER_TIMEOUT_MS });
    let output = '';
    child.on('error', (error) =>
      reject(new CliError(`cannot run ${program}: ${error.message}`, { hint: 'install it, or log in again' })),
    );
    child.stdout.on('data', (chunk: Buffer) => {
      if (output.length < HELPER_OUTPUT_BYTES) output += chunk.toString('utf8');
    });
    child.on('close', (code) => resolve({ code: code ?? 1, output }));
    // A helper that ends without reading is told of by its exit code.
    child.stdin.on('error', () => {});
    child.stdin.end(input);
  });
}
