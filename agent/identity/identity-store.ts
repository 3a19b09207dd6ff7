/**
 * The identity of this node on disk:
 *
 *     <state>/node/root.crt     trusted roots
 *     <state>/node/node.crt     this node's certificate, then intermediates
 *     <state>/node/node.key     its key, 0600
 *     <state>/node/state.json   managers, addresses, where the directory was made
 *     <state>/node/renewal.json key, certificate and roots that are about to replace those above
 *     <state>/node/relock.json  the keys of a manager that are about to be encrypted otherwise: see `key-locking.ts`
 *     <state>/joining/node.key  the key of a join that is under way
 *     <state>/former/           `node` as it was when this host left: see `former-identity.ts`
 *
 * `node` appears whole, by one rename, as the last step of init and join: a node that has it is a member.
 */
import type { KeyObject } from 'node:crypto';
import { mkdir, readFile, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { certificateDigest } from '#certs/authority.ts';
import { parseCertificates } from '#certs/certificate.ts';
import { type CertifiedIdentity, certifiedIdentity } from '#certs/identity.ts';
import { keysMatch } from '#certs/key.ts';
import { decodeKeyFile, encodeKeyFile, privateKeyPem } from '#certs/key-file.ts';
import type { TlsIdentity } from '#certs/tls.ts';
import { verifyChain } from '#certs/verify-chain.ts';
import { SwarmError } from '#common/errors.ts';
import {
  fileError,
  makePrivateDirectory,
  syncDirectory,
  writeFileAtomic,
  writeFileSynced,
} from '#common/system/atomic-file.ts';
import { type FormerIdentity, formerDirectory, readFormer } from './former-identity.ts';
import { compareHomes, type HomeCheck } from './home-check.ts';
import { KeyLocking } from './key-locking.ts';
import { type MachineFacts, readMachineFacts } from './machine-facts.ts';
import {
  decodeNodeState,
  encodeNodeState,
  type HomeBinding,
  type KnownManager,
  type NodeAddresses,
  type NodeState,
} from './node-state.ts';
import { decodeRenewal, encodeRenewal, type Renewal } from './renewal-file.ts';
import { acceptRoots, sameRoots } from './trusted-roots.ts';

export interface NewIdentity {
  readonly privateKey: KeyObject;
  /** The node's certificate, then intermediates. */
  readonly certificatePem: string;
  readonly rootPem: string;
  readonly managers: readonly KnownManager[];
  readonly addresses: NodeAddresses;
}

export interface LoadedIdentity {
  readonly identity: CertifiedIdentity;
  readonly tls: TlsIdentity;
  /** sha256 of the (first) root's DER, hexadecimal, as in the join tokens. */
  readonly rootDigest: string;
  readonly managers: readonly KnownManager[];
  readonly addresses: NodeAddresses;
  /** Whether the state directory is where it was made. */
  readonly home: HomeCheck;
}

const FILES = {
  root: 'root.crt',
  certificate: 'node.crt',
  key: 'node.key',
  state: 'state.json',
  renewal: 'renewal.json',
} as const;
/** Nobody but the owner. */
const OTHERS = 0o077;

export class IdentityStore {
  /** Whether the keys of a manager are encrypted on this disk, and by what. */
  readonly keys: KeyLocking;
  readonly #stateDirectory: string;
  readonly #readFacts: () => Promise<MachineFacts>;
  readonly #write: typeof writeFileAtomic;
  /** One change of `state.json` at a time: each writes the whole file. */
  #stateTurn: Promise<unknown> = Promise.resolve();

  constructor(
    stateDirectory: string,
    readFacts: () => Promise<MachineFacts> = readMachineFacts,
    write = writeFileAtomic,
  ) {
    this.#stateDirectory = stateDirectory;
    this.#readFacts = readFacts;
    this.#write = write;
    this.keys = new KeyLocking({
      directory: this.#directory,
      stateDirectory,
      write,
      finishRenewal: () => this.#finishRenewal(),
    });
  }

  get #directory(): string {
    return join(this.#stateDirectory, 'node');
  }

  /** Whether this host is a member of a swarm. */
  async exists(): Promise<boolean> {
    return (await statOf(this.#directory)) !== undefined;
  }

  /**
   * The identity, with everything about it checked; undefined when this host is in no swarm. Errors: `corrupt-state`
   * (damaged, incomplete, readable by others), `locked`, `bad-certificate`, `expired`, `wrong-cluster`.
   *
   * `expiredManager`: also that of a manager whose certificate has run out. It has the root's key in its log, and may
   * renew it by itself.
   */
  async load(
    nowMs: number,
    { expiredManager = false }: { readonly expiredManager?: boolean } = {},
  ): Promise<LoadedIdentity | undefined> {
    const directory = await statOf(this.#directory);
    if (directory === undefined) return undefined;
    checkPrivate(this.#directory, directory, '0700');
    await this.keys.settle();
    return this.#checked(directory, {}, nowMs, expiredManager);
  }

  /**
   * The same for whoever only looks: nothing on the disk changes. What a renewal or a change of the lock has decided, and
   * the next start will complete, counts as being in its place. Errors: as those of `load`.
   */
  async inspect(nowMs: number): Promise<LoadedIdentity | undefined> {
    const directory = await statOf(this.#directory);
    if (directory === undefined) return undefined;
    checkPrivate(this.#directory, directory, '0700');
    const renewal = await this.#pendingRenewal();
    const relock = await this.keys.pending();
    const decided = relock === undefined ? { ...renewal } : { ...renewal, key: relock.key };
    return this.#checked(directory, decided, nowMs, false);
  }

  /** `decided`: what counts in the place of the files that are there. */
  async #checked(
    directory: FileStat,
    decided: Partial<Renewal>,
    nowMs: number,
    expiredManager: boolean,
  ): Promise<LoadedIdentity> {
    const keyPath = join(this.#directory, FILES.key);
    const keyStat = await statOf(keyPath);
    if (keyStat !== undefined) checkPrivate(keyPath, keyStat, '0600');

    const state = decodeNodeState(await this.#read(FILES.state), join(this.#directory, FILES.state));
    const rootPem = decided.roots ?? (await this.#read(FILES.root));
    const certificatePem = decided.certificate ?? (await this.#read(FILES.certificate));
    const key = this.keys.decode(Buffer.from(decided.key ?? (await this.#read(FILES.key))));

    const roots = parseCertificates(rootPem, join(this.#directory, FILES.root));
    const chain = parseCertificates(certificatePem, join(this.#directory, FILES.certificate));
    const [leaf] = chain;
    const [root] = roots;
    if (leaf === undefined || root === undefined) throw incomplete(this.#directory, FILES.certificate);
    if (!keysMatch(key.privateKey, leaf.publicKeyDer))
      throw corrupt(
        `${keyPath} does not belong to the certificate beside it`,
        'restore both files from one backup, or',
      );
    const identity = certifiedIdentity(leaf);
    const isTaken = expiredManager && identity.role === 'manager';
    const problem = verifyChain(chain, roots, isTaken ? Math.min(nowMs, identity.notAfterMs) : nowMs);
    if (problem !== undefined) throw problem;
    return {
      identity,
      tls: { certificatePem, privateKeyPem: privateKeyPem(key.privateKey), rootsPem: rootPem },
      rootDigest: certificateDigest(root),
      managers: state.managers,
      addresses: state.addresses,
      home: compareHomes(state.home, await this.#home(directory.ino)),
    };
  }

  /** Makes this host a member: all files or none. Errors: `already-in-swarm`, `disk-full`, `corrupt-state`. */
  async install(identity: NewIdentity): Promise<void> {
    if (await this.exists()) throw alreadyInSwarm();
    const fresh = join(this.#stateDirectory, 'node.new');
    try {
      await makePrivateDirectory(this.#stateDirectory);
      await rm(fresh, { recursive: true, force: true });
      await mkdir(fresh, { mode: 0o700 });
      const { ino } = await stat(fresh, { bigint: true });
      const { managers, addresses } = identity;
      const state: NodeState = { managers, addresses, home: await this.#home(ino) };
      const key = encodeKeyFile({ privateKey: identity.privateKey, headers: new Map() });
      await writeFileSynced(join(fresh, FILES.key), key, 0o600);
      await writeFileSynced(join(fresh, FILES.root), identity.rootPem, 0o644);
      await writeFileSynced(join(fresh, FILES.certificate), identity.certificatePem, 0o644);
      await writeFileSynced(join(fresh, FILES.state), encodeNodeState(state), 0o600);
      await syncDirectory(fresh);
      await rename(fresh, this.#directory);
      await syncDirectory(this.#stateDirectory);
    } catch (error) {
      if (isSystemError(error, 'ENOTEMPTY', 'EEXIST')) throw alreadyInSwarm();
      throw fileError(error, `write the node's identity below ${this.#stateDirectory}`);
    }
  }

  /**
   * Puts another key and certificate in the place of those that are there: both or none, whenever the power goes. The
   * caller has checked that they belong together and to this node.
   */
  async replaceCertificate(renewed: {
    readonly privateKey: KeyObject;
    readonly certificatePem: string;
    /** Roots to be trusted from now on; undefined: those that are. */
    readonly rootsPem?: string | undefined;
  }): Promise<void> {
    await this.keys.settle();
    const path = join(this.#directory, FILES.renewal);
    const { certificatePem: certificate, rootsPem: roots } = renewed;
    const key = await this.keys.encodeRenewed(renewed.privateKey, certificate);
    await this.#write(path, encodeRenewal({ key, certificate, roots }), 0o600);
    await this.keys.settle();
  }

  /**
   * Trusts these roots (PEM) from now on, and no other. False when they are those that are trusted already.
   * @throws SwarmError `bad-certificate`, `wrong-cluster` or `expired` for a set that does not vouch for this node itself
   */
  async replaceRoots(pem: Uint8Array | string, nowMs: number): Promise<boolean> {
    await this.keys.settle();
    const path = join(this.#directory, FILES.root);
    const certificatePath = join(this.#directory, FILES.certificate);
    const chain = parseCertificates(await this.#read(FILES.certificate), certificatePath);
    const accepted = acceptRoots(pem, chain, nowMs);
    if (sameRoots(accepted.roots, parseCertificates(await this.#read(FILES.root), path))) return false;
    await this.#write(path, accepted.pem, 0o644);
    return true;
  }

  /** Remembers the managers that are known now, for the next start. */
  async saveManagers(managers: readonly KnownManager[]): Promise<void> {
    await this.#changeState((state) => ({ ...state, managers }));
  }

  /** Replaces the addresses that were given at init or join. */
  async saveAddresses(addresses: NodeAddresses): Promise<void> {
    await this.#changeState((state) => ({ ...state, addresses }));
  }

  /** Takes the place where the state directory is now for its home: the operator has moved it on purpose. */
  async adopt(): Promise<void> {
    const { ino } = await stat(this.#directory, { bigint: true });
    const home = await this.#home(ino);
    await this.#changeState((state) => ({ ...state, home }));
  }

  /**
   * Leaves the swarm, as far as this disk is concerned. Does nothing when it is in none. What is kept is the former
   * identity from then on, by which this host can be the same node again.
   */
  async remove(identity: 'kept' | 'dropped'): Promise<void> {
    const gone = identity === 'kept' ? formerDirectory(this.#stateDirectory) : join(this.#stateDirectory, 'node.gone');
    try {
      // The one that was kept before stays as long as this host has another.
      await stat(this.#directory);
      await rm(gone, { recursive: true, force: true });
      await rename(this.#directory, gone);
      this.keys.forget();
      await syncDirectory(this.#stateDirectory);
      if (identity === 'dropped') await rm(gone, { recursive: true, force: true });
      await rm(this.#joining, { recursive: true, force: true });
    } catch (error) {
      if (!isSystemError(error, 'ENOENT')) throw fileError(error, `remove ${this.#directory}`);
    }
  }

  /** Who this host was before it left its last swarm; undefined where that is not known, or not for sure. */
  async former(): Promise<FormerIdentity | undefined> {
    return readFormer(this.#stateDirectory, await this.#readFacts());
  }

  /** This host is a node again, of this swarm or another: what it was before is of no use any more. */
  async removeFormer(): Promise<void> {
    await rm(formerDirectory(this.#stateDirectory), { recursive: true, force: true });
  }

  get #joining(): string {
    return join(this.#stateDirectory, 'joining');
  }

  /** The key of a join that was interrupted; undefined when there was none, or what is left of it is not readable. */
  async pendingKey(): Promise<KeyObject | undefined> {
    try {
      const path = join(this.#joining, FILES.key);
      return decodeKeyFile(await readFile(path), path).privateKey;
    } catch {
      return undefined; // a new key will do as well
    }
  }

  /** Keeps the key of a join before it is first shown to a manager. */
  async savePendingKey(privateKey: KeyObject): Promise<void> {
    await makePrivateDirectory(this.#stateDirectory);
    await makePrivateDirectory(this.#joining);
    await writeFileAtomic(join(this.#joining, FILES.key), encodeKeyFile({ privateKey, headers: new Map() }), 0o600);
  }

  async removePendingKey(): Promise<void> {
    await rm(this.#joining, { recursive: true, force: true });
  }

  async #home(inode: bigint): Promise<HomeBinding> {
    return { ...(await this.#readFacts()), inode: String(inode) };
  }

  /** Completes a renewal of which the first step was taken. */
  async #finishRenewal(): Promise<void> {
    const pending = await this.#pendingRenewal();
    if (pending === undefined) return;
    const { key, certificate, roots } = pending;
    if (roots !== undefined) await this.#write(join(this.#directory, FILES.root), roots, 0o644);
    await this.#write(join(this.#directory, FILES.key), key, 0o600);
    await this.#write(join(this.#directory, FILES.certificate), certificate, 0o644);
    await rm(join(this.#directory, FILES.renewal), { force: true });
    await syncDirectory(this.#directory);
  }

  async #pendingRenewal(): Promise<Renewal | undefined> {
    const path = join(this.#directory, FILES.renewal);
    try {
      return decodeRenewal(await readFile(path, 'utf8'), path);
    } catch (error) {
      if (isSystemError(error, 'ENOENT')) return undefined;
      throw fileError(error, `read ${path}`);
    }
  }

  #changeState(change: (state: NodeState) => NodeState): Promise<void> {
    const path = join(this.#directory, FILES.state);
    const turn = this.#stateTurn.then(async () => {
      const state = decodeNodeState(await this.#read(FILES.state), path);
      await writeFileAtomic(path, encodeNodeState(change(state)), 0o600);
    });
    this.#stateTurn = turn.catch(() => {});
    return turn;
  }

  async #read(name: string): Promise<string> {
    const path = join(this.#directory, name);
    try {
      return await readFile(path, 'utf8');
    } catch (error) {
      if (isSystemError(error, 'ENOENT')) throw incomplete(this.#directory, name);
      throw fileError(error, `read ${path}`);
    }
  }
}

interface FileStat {
  readonly mode: bigint;
  readonly uid: bigint;
  readonly ino: bigint;
}

async function statOf(path: string): Promise<FileStat | undefined> {
  try {
    return await stat(path, { bigint: true });
  } catch (error) {
    if (isSystemError(error, 'ENOENT')) return undefined;
    throw fileError(error, `look at ${path}`);
  }
}

function checkPrivate(path: string, found: FileStat, mode: '0700' | '0600'): void {
  const own = process.geteuid?.();
  if (own !== undefined && found.uid !== BigInt(own))
    throw corrupt(
      `${path} belongs to user ${found.uid}, not to user ${own}`,
      `give it back (chown ${own} ${path}), or`,
    );
  if ((Number(found.mode) & OTHERS) === 0) return;
  const shown = (Number(found.mode) & 0o777).toString(8).padStart(4, '0');
  throw corrupt(
    `${path} is open to other users of this host (mode ${shown})`,
    `close it (chmod ${mode} ${path}) if nobody has read it; otherwise`,
  );
}

function incomplete(directory: string, file: string): SwarmError {
  return corrupt(`${join(directory, file)} is missing`, 'restore it from a backup, or');
}

function corrupt(message: string, wayOut: string): SwarmError {
  const hint = `${wayOut} run \`swarm leave --force\` and join again`;
  return new SwarmError({ code: 'precondition', reason: 'corrupt-state', message, hint });
}

function alreadyInSwarm(): SwarmError {
  return new SwarmError({
    code: 'precondition',
    reason: 'already-in-swarm',
    message: 'this node is already part of a swarm',
    hint: 'use `swarm leave` to leave this swarm and join another one',
  });
}

function isSystemError(error: unknown, ...codes: string[]): boolean {
  return error instanceof Error && codes.includes((error as NodeJS.ErrnoException).code ?? '');
}
