/**
 * Who made a change, as one line of text: what stands in transactions of the log, and as the maker of revisions.
 *
 *   (empty)                the swarm by itself
 *   kind/id/peer/name      `local/4m0…//web-1`, `client/9kx…/192.0.2.7:40312/ci`, `token//192.0.2.9:51002/worker`
 *
 * Fields may be empty. Only the name, which is the last, may have slashes. Releases before had `local` and ids of nodes.
 */
import { isId } from './ids.ts';

/** Through the local socket of a node; a node; a client from outside; whoever had a join token. */
const KINDS = ['local', 'node', 'client', 'token'] as const;
export type AuthorKind = 'swarm' | (typeof KINDS)[number];

export interface Author {
  readonly kind: AuthorKind;
  /** Of the node whose socket it was, of the node or of the client; empty where nobody knows. */
  readonly id: string;
  /** Host name, name of the client, or the role that the token is for. */
  readonly name: string;
  /** host:port that the call came from; empty for the local socket. */
  readonly peer: string;
}

export const SWARM_AUTHOR: Author = { kind: 'swarm', id: '', name: '', peer: '' };

/** The longest host name. */
const NAME_LENGTH_MAX = 253;
/** An IPv6 address with its zone, brackets and port. */
const PEER_LENGTH_MAX = 128;

/** What does not fit into a field is left out of it. */
export function writeAuthor({ kind, id, peer, name }: Author): string {
  if (kind === 'swarm') return '';
  const address = /^[\x21-\x2e\x30-\x7e]*$/.test(peer) ? peer.slice(0, PEER_LENGTH_MAX) : '';
  const label = name.replace(/[^\x20-\x7e]+/g, '').slice(0, NAME_LENGTH_MAX);
  return `${kind}/${isId(id) ? id : ''}/${address}/${label}`;
}

/** Undefined for what is none: texts by which the swarm's own parts say why they made a revision. */
export function readAuthor(text: string): Author | undefined {
  if (text === '') return SWARM_AUTHOR;
  if (text === 'local') return { kind: 'local', id: '', name: '', peer: '' };
  if (isId(text)) return { kind: 'node', id: text, name: '', peer: '' };
  const [word = '', id, peer, ...rest] = text.split('/');
  const kind = KINDS.find((one) => one === word);
  if (kind === undefined || id === undefined || peer === undefined || rest.length === 0) return undefined;
  if (id !== '' && !isId(id)) return undefined;
  return { kind, id, peer, name: rest.join('/') };
}

/** For people: `root@web-1`, `client ci`, `node db-2`, `worker token`; a text that names nobody as it is. */
export function describeAuthor(text: string): string {
  const author = readAuthor(text);
  if (author === undefined) return text;
  const name = author.name || author.id;
  switch (author.kind) {
    case 'swarm':
      return '';
    case 'local':
      return name === '' ? 'local' : `root@${name}`;
    case 'token':
      return name === '' ? 'token' : `${name} token`;
    case 'node':
    case 'client':
      return name === '' ? author.kind : `${author.kind} ${name}`;
  }
}
