import type { SwarmError } from '#common/errors.ts';
import type { ActiveNode } from './active-node.ts';

/** What this host is to a swarm. Only `Membership` changes it. */
export type MembershipState =
  | { readonly kind: 'inactive' }
  | { readonly kind: 'pending' }
  | ActiveNode
  /** There is no way back; the error says what is in the way, if anything is. */
  | { readonly kind: 'leaving'; readonly error: SwarmError | undefined }
  /** The keys of this manager are encrypted; the error says to those who ask what to do. */
  | { readonly kind: 'locked'; readonly error: SwarmError }
  | { readonly kind: 'error'; readonly error: SwarmError };
