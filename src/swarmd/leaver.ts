/** Who it is that leaves a swarm, as far as this host can tell: also where nothing of it runs. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { IdentityStore } from '#agent/identity/index.ts';
import { parseCertificates } from '#certs/certificate.ts';
import { type CertifiedIdentity, certifiedIdentity } from '#certs/identity.ts';
import type { Clock } from '#common/clock.ts';
import { SwarmError } from '#common/errors.ts';
import type { ActiveNode } from './active-node.ts';
import { NodeIdentity } from './node-identity.ts';
import type { Paths } from './paths.ts';

/** One that can speak to managers as the node that it is. */
export interface LeavingMember {
  readonly kind: 'member';
  readonly identity: NodeIdentity;
  /** host:port of the other managers; none where this host is the only one. */
  readonly managers: readonly string[];
}

export type Leaver =
  | LeavingMember
  /** There is an identity, and managers cannot be spoken to with it. */
  | {
      readonly kind: 'unusable';
      /** Undefined where not even the certificate can be read. */
      readonly identity: Pick<CertifiedIdentity, 'nodeId' | 'role'> | undefined;
      readonly error: SwarmError;
    }
  /** There is none, or it is a copy of another host's: that one goes on being the node. */
  | { readonly kind: 'nobody' };

export function leaverOf(active: ActiveNode): LeavingMember {
  return { kind: 'member', identity: active.nodeIdentity, managers: active.otherManagers() };
}

/** From the disk. Never rejects. */
export async function leaverOnDisk(
  store: Pick<IdentityStore, 'load'>,
  paths: Pick<Paths, 'node'>,
  clock: Clock,
): Promise<Leaver> {
  try {
    const loaded = await store.load(clock.now(), { expiredManager: true });
    if (loaded === undefined || loaded.home.kind === 'other-machine') return { kind: 'nobody' };
    const { identity, addresses } = loaded;
    const others = loaded.managers.filter(
      ({ nodeId, address }) => nodeId !== identity.nodeId && address !== addresses.advertise,
    );
    return { kind: 'member', identity: new NodeIdentity(loaded), managers: others.map(({ address }) => address) };
  } catch (thrown) {
    return { kind: 'unusable', identity: await certifiedOnDisk(paths), error: SwarmError.from(thrown) };
  }
}

/** What the certificate says, whether or not it holds and its key can be read; undefined where there is none to read. */
export async function certifiedOnDisk({ node }: Pick<Paths, 'node'>): Promise<CertifiedIdentity | undefined> {
  try {
    const path = join(node, 'node.crt');
    const [leaf] = parseCertificates(await readFile(path, 'utf8'), path);
    return leaf === undefined ? undefined : certifiedIdentity(leaf);
  } catch {
    return undefined; // it only serves to name the node to people
  }
}
