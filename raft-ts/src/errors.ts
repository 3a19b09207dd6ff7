/**
 * - `invalidConfig`: the configuration or an argument cannot be used.
 * - `invariant`: the state contradicts itself (a damaged or rolled-back store, or a bug). The node must stop.
 * - `storage`: the storage did not keep its contract.
 */
export type RaftErrorCode = 'invalidConfig' | 'invariant' | 'storage';

/** The only error this library throws. What a caller can expect and handle is a return value instead. */
export class RaftError extends Error {
  readonly code: RaftErrorCode;

  constructor(code: RaftErrorCode, text: string) {
    super(text);
    this.name = 'RaftError';
    this.code = code;
  }
}

/** Stops on a broken invariant. */
export function violated(text: string): never {
  throw new RaftError('invariant', text);
}

/**
 * Why a message or request was not taken:
 * - `proposalDropped`: no leader, or none that takes proposals now; nothing was logged, try again or elsewhere.
 * - `localMessage`: a message that never travels came from another node.
 * - `peerNotFound`: a response from a node that is not in the configuration.
 */
export type Refusal = 'proposalDropped' | 'localMessage' | 'peerNotFound';

/** The refusals in words. */
export const REFUSAL_TEXT: Readonly<Record<Refusal, string>> = {
  proposalDropped: 'raft proposal dropped',
  localMessage: 'raft: cannot step raft local message',
  peerNotFound: 'raft: cannot step as peer not found',
};
