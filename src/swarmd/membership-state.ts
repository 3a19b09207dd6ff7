import type { SwarmError } from '#common/errors.ts';
import type { ActiveNode } from './active-node.ts';

/** What this host is to a swarm. Only `Membership` changes it. */
export type MembershipState =
  | { readonly kind: 'inactive' }
  | { readonly kind: 'pending' }
  | ActiveNode
  | { readonly kind: 'leaving' }
  /** The keys of this manager are encrypted; the error says to those who ask what to do. */
  | { readonly kind: 'locked'; readonly error: SwarmError }
  | { readonly kind: 'error'; readonly error: SwarmError };
