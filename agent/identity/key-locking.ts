/**
 * The keys of a manager on its disk, in the clear or encrypted by the unlock key of the cluster: `node.key`, and beside
 * `node` the keys of its log (`raft.key`), whose content this file does not look at. Both change together: what is to be
 * is written down first, in `relock.json`, and whatever writes a key next completes it, at the latest the next start. So
 * whenever the power goes, one unlock key opens both, the one of before or the one of after.
 */
import { readdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { parseCertificates } from '#certs/certificate.ts';
import { certifiedIdentity } from '#certs/identity.ts';
import { decodeKeyFile, encodeKeyFile, type KeyFile, keyFileFacts } from '#certs/key-file.ts';
import type { KeyLock } from '#certs/key-lock.ts';
import { SwarmError } from '#common/errors.ts';
import { fileError, syncDirectory, type writeFileAtomic } from '#common/system/atomic-file.ts';

/** Header of a key that lay on the disk in the clear and is still in use: it is to be replaced. */
const EXPOSED = 'exposed';

const FORMAT = 1;

/** Of `writeFileAtomic`, for files that hold keys. */
const LEFT_OVER = /^\.(node\.key|raft\.key|renewal\.json|relock\.json)\.[0-9a-f]+\.tmp$/;

export interface KeyLockingOptions {
  /** `node`. */
  readonly directory: string;
  /** The one that holds it. */
  readonly stateDirectory: string;
  readonly write: typeof writeFileAtomic;
  /** Completes a renewal of which the first step was taken. */
  readonly finishRenewal: () => Promise<void>;
}

export class KeyLocking {
  readonly #options: KeyLockingOptions;
  /**
   * What `node.key` is encrypted with, as far as this process was told; undefined for a key in the clear. Invariant: what
   * `relock.json` says counts as `node.key` already, since every later step completes it.
   */
  #lock: KeyLock | undefined;
  /** The lock of the last attempt. Whether it was decided is not known where the disk failed during it. */
  #attempted: KeyLock | undefined;
  #isSettled = true;

  constructor(options: KeyLockingOptions) {
    this.#options = options;
  }

  get current(): KeyLock | undefined {
    return this.#lock;
  }

  /** Whether what this process has decided is in its place. False: `settle` has it before it. */
  get isSettled(): boolean {
    return this.#isSettled;
  }

  /** Nothing is encrypted any more, because there is nothing. */
  forget(): void {
    this.#lock = undefined;
    this.#attempted = undefined;
    this.#isSettled = true;
  }

  /**
   * Completes what was written down, a renewal or a change of the lock. Whoever is about to write a key does this first,
   * so that never both are under way, and nothing that was decided earlier overwrites what comes later.
   * @throws SwarmError `disk-full`, `corrupt-state`: then nothing may be decided that builds on it
   */
  async settle(): Promise<void> {
    await this.#options.finishRenewal();
    await this.#finish();
    this.#isSettled = true;
  }

  /**
   * Opens the keys with the unlock key, for this process. Nothing on the disk changes.
   * @throws SwarmError `wrong-key`; `not-supported` where they are not encrypted
   */
  async unlock(key: Uint8Array): Promise<void> {
    await this.settle();
    const bytes = await this.#readKey();
    const { lockVersion } = keyFileFacts(bytes, this.#keyPath);
    if (lockVersion === undefined)
      throw new SwarmError({ code: 'precondition', reason: 'not-supported', message: 'swarm is not locked' });
    decodeKeyFile(bytes, this.#keyPath, key);
    this.#lock = { key, version: lockVersion };
  }

  /** The node's key. @throws SwarmError `locked` as long as nobody has unlocked it */
  decode(bytes: Uint8Array): KeyFile {
    if (keyFileFacts(bytes, this.#keyPath).lockVersion === undefined) this.#lock = undefined;
    return decodeKeyFile(bytes, this.#keyPath, this.#lock?.key);
  }

  /** The text of a key file for a key that was never on this disk, and for the certificate that comes with it. */
  async encodeRenewed(privateKey: KeyFile['privateKey'], certificatePem: string): Promise<string> {
    const headers = new Map(keyFileFacts(await this.#readKey(), this.#keyPath).headers);
    headers.delete(EXPOSED);
    const lock = isManagers(certificatePem) ? this.#lock : undefined;
    return encodeKeyFile({ privateKey, headers }, lock);
  }

  /** Whether the key that is in use lay on the disk in the clear before it was encrypted. */
  async isExposed(): Promise<boolean> {
    return keyFileFacts(await this.#readKey(), this.#keyPath).headers.has(EXPOSED);
  }

  /**
   * Decides that the node's key is under the lock, or in the clear, together with the text of `raft.key`. From then on
   * `current` is that lock, also after a crash; `settle` puts both files in their places. False, with nothing done, where
   * the node is no manager by its certificate: keys of workers are not encrypted.
   */
  async relock(lock: KeyLock | undefined, dataKeys: string): Promise<boolean> {
    await this.settle();
    if (!isManagers(await readFile(join(this.#directory, 'node.crt'), 'utf8'))) return false;
    const { privateKey, headers } = this.decode(await this.#readKey());
    const kept = new Map(headers);
    if (lock === undefined) kept.delete(EXPOSED);
    else if (this.#lock === undefined) kept.set(EXPOSED, 'yes');
    const key = encodeKeyFile({ privateKey, headers: kept }, lock);
    this.#attempted = lock;
    this.#isSettled = false;
    await this.#options.write(this.#path, `${JSON.stringify({ format: FORMAT, key, dataKeys })}\n`, 0o600);
    this.#lock = lock;
    return true;
  }

  async #finish(): Promise<void> {
    const { stateDirectory, write } = this.#options;
    const pending = await this.pending();
    if (pending === undefined) return;
    this.#adopt(pending.key);
    await write(join(stateDirectory, 'raft.key'), pending.dataKeys, 0o600);
    await write(this.#keyPath, pending.key, 0o600);
    await rm(this.#path, { force: true });
    await syncDirectory(this.#directory);
    await this.#sweep();
  }

  /** What is decided, and not in its place yet. Changes nothing. */
  async pending(): Promise<Relock | undefined> {
    let text: string;
    try {
      text = await readFile(this.#path, 'utf8');
    } catch (thrown) {
      if ((thrown as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
      throw fileError(thrown, `read ${this.#path}`);
    }
    return parse(text, this.#path);
  }

  /** An attempt whose write failed may have been decided all the same. */
  #adopt(key: string): void {
    const { lockVersion } = keyFileFacts(Buffer.from(key), this.#path);
    if (lockVersion === undefined) this.#lock = undefined;
    else if (lockVersion === this.#attempted?.version) this.#lock = this.#attempted;
  }

  /** What writes that were interrupted have left may be a key in the clear. */
  async #sweep(): Promise<void> {
    for (const directory of [this.#directory, this.#options.stateDirectory])
      for (const name of await readdir(directory))
        if (LEFT_OVER.test(name)) await rm(join(directory, name), { force: true });
  }

  get #directory(): string {
    return this.#options.directory;
  }

  get #path(): string {
    return join(this.#directory, 'relock.json');
  }

  get #keyPath(): string {
    return join(this.#directory, 'node.key');
  }

  async #readKey(): Promise<Buffer> {
    try {
      return await readFile(this.#keyPath);
    } catch (thrown) {
      throw fileError(thrown, `read ${this.#keyPath}`);
    }
  }
}

function isManagers(certificatePem: string): boolean {
  const [leaf] = parseCertificates(certificatePem, "the node's certificate");
  return leaf !== undefined && certifiedIdentity(leaf).role === 'manager';
}

/** `relock.json`: both key files as they are to be. */
export interface Relock {
  /** As in `node.key`. */
  readonly key: string;
  /** As in `raft.key`. */
  readonly dataKeys: string;
}

/** `path` is for errors, which repeat nothing of the content. */
function parse(text: string, path: string): Relock {
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch {
    throw damaged(path);
  }
  if (typeof parsed !== 'object' || parsed === null) throw damaged(path);
  const { format, key, dataKeys } = parsed as Readonly<Record<string, unknown>>;
  if (format !== FORMAT || typeof key !== 'string' || typeof dataKeys !== 'string') throw damaged(path);
  return { key, dataKeys };
}

function damaged(path: string): SwarmError {
  return new SwarmError({
    code: 'precondition',
    reason: 'corrupt-state',
    message: `${path} is damaged`,
    hint: 'remove it: the keys that are there go on; or run `swarm leave --force` and join again',
  });
}
