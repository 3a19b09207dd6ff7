import type { KeyLocking } from '#agent/identity/index.ts';
import { type KeyLock, sameLock } from '#certs/key-lock.ts';
import { assert, SwarmError } from '#common/errors.ts';
import { writeFileAtomic } from '#common/system/atomic-file.ts';
import type { DataKeys } from '#manager/log/index.ts';
import { createDataKey, encodeDataKeys, loadDataKeys } from './data-key.ts';

/**
 * The keys that a manager has on its disk: the one of its certificate and those of its log. Either may be in the clear, or
 * encrypted by the unlock key. Whoever changes them has the turn among the changes of this node's identity.
 */
export class ManagerKeys {
  readonly #locking: KeyLocking;
  readonly #path: string;
  #dataKeys: DataKeys | undefined;
  /** Of what the log's keys are encrypted with; undefined for keys in the clear. */
  #dataLockVersion: number | undefined;

  /** `path` is that of the log's keys. */
  constructor(locking: KeyLocking, path: string) {
    this.#locking = locking;
    this.#path = path;
  }

  /** Whether both files are encrypted by this unlock key, or in the clear where it is undefined. */
  isLockedBy(lock: KeyLock | undefined): boolean {
    return this.isSettled && sameLock(this.#locking.current, lock) && this.#dataLockVersion === lock?.version;
  }

  /** Whether anything is encrypted. */
  get isLocked(): boolean {
    return this.#locking.current !== undefined;
  }

  /** Keys of before that files of the log may need. */
  get former(): number {
    return this.#dataKeys?.previous?.length ?? 0;
  }

  /** Those of the log, once they were loaded or made. */
  get dataKeys(): DataKeys {
    assert(this.#dataKeys !== undefined, 'a log that runs has keys');
    return this.#dataKeys;
  }

  /** The keys of a log that is there. @throws SwarmError `corrupt-state`, `locked`, `wrong-key` */
  async load(): Promise<DataKeys> {
    await this.#locking.settle();
    const { keys, lockVersion } = await loadDataKeys(this.#path, this.#locking.current?.key).catch(
      (thrown: unknown) => {
        throw this.#ofAnotherTime(SwarmError.from(thrown));
      },
    );
    this.#dataLockVersion = lockVersion;
    this.#dataKeys = keys;
    return keys;
  }

  /** The keys of a log that begins. */
  async create(): Promise<DataKeys> {
    await this.#locking.settle();
    const lock = this.#locking.current;
    const keys = await createDataKey(this.#path, lock);
    this.#dataLockVersion = lock?.version;
    this.#dataKeys = keys;
    return keys;
  }

  /**
   * Decides that both are under the lock, or in the clear: from then on they are the keys, and the log has to be given
   * them, whether or not `settle` succeeds. False, with nothing done, where this node is no manager any more.
   */
  async relock(lock: KeyLock | undefined, keys: DataKeys): Promise<boolean> {
    if (!(await this.#locking.relock(lock, encodeDataKeys(keys, lock)))) return false;
    this.#dataLockVersion = lock?.version;
    this.#dataKeys = keys;
    return true;
  }

  /** Whether both files are in their places. */
  get isSettled(): boolean {
    return this.#locking.isSettled;
  }

  /** Puts both files in their places. */
  settle(): Promise<void> {
    return this.#locking.settle();
  }

  /** No file of the log needs a key of before any more. */
  async dropFormer(): Promise<void> {
    await this.#locking.settle();
    const { current } = this.dataKeys;
    await writeFileAtomic(this.#path, encodeDataKeys({ current }, this.#locking.current), 0o600);
    this.#dataKeys = { current };
  }

  /** Both files always change together, so this node's key, which is open, tells that the other one was put there. */
  #ofAnotherTime(error: SwarmError): SwarmError {
    if (error.reason !== 'locked' && error.reason !== 'wrong-key') return error;
    return new SwarmError({
      code: 'data-loss',
      reason: 'corrupt-state',
      message: `the log's key file ${this.#path} is encrypted by another unlock key than the key of this node`,
      hint: 'restore the whole state directory from one backup; or, when other managers run, `swarm leave --force` and join again',
      cause: error,
    });
  }

  /** Whether the certificate's key lay in the clear before it was encrypted: it is to be replaced by another. */
  isExposed(): Promise<boolean> {
    return this.#locking.isExposed();
  }
}
