/** Finding what a user means: a full id, a name, or the unique beginning of an id, in this order. */
import { SwarmError } from '#common/errors.ts';
import type { Client, Network, Node, Service, Stack, Task } from '#gen/swarm/v1/objects.ts';
import type { Payload, PayloadKind } from '#manager/payloads/index.ts';
import type { StoreView } from '#manager/store/index.ts';

function notFound(kind: string, reference: string): SwarmError {
  return new SwarmError({
    code: 'not-found',
    reason: 'unknown-object',
    field: kind,
    message: `${kind} ${reference} not found`,
    hint: `see \`swarm ${kind} ls\``,
  });
}

function ambiguous(kind: string, reference: string, count: number, isName: boolean): SwarmError {
  return new SwarmError({
    code: 'precondition',
    reason: 'ambiguous-prefix',
    field: kind,
    message: `${kind} ${reference} is ambiguous (${count} matches found)`,
    hint: isName ? `several have this name: give the id that \`swarm ${kind} ls\` shows` : 'give more of the id',
  });
}

/** `isName`: they were found by a name that several may have, not by the beginning of their ids. */
function one<T>(kind: string, reference: string, found: readonly T[], isName = false): T {
  const [first] = found;
  if (first === undefined) throw notFound(kind, reference);
  if (found.length > 1) throw ambiguous(kind, reference, found.length, isName);
  return first;
}

/** Enough to know that a prefix is not unique, and to say a number that is not absurd. */
const MATCHES_MAX = 100;

function checkReference(kind: string, reference: string): void {
  if (reference === '')
    throw new SwarmError({
      code: 'invalid',
      reason: 'bad-field',
      field: kind,
      message: `no ${kind} was named`,
      hint: 'give a name or an id',
    });
}

export function findService(view: StoreView, reference: string): Service {
  checkReference('service', reference);
  const exact = view.get('service', reference) ?? view.serviceByName(reference);
  return exact ?? one('service', reference, view.byIdPrefix('service', reference, MATCHES_MAX));
}

export function findTask(view: StoreView, reference: string): Task {
  checkReference('task', reference);
  const exact = view.get('task', reference) ?? view.oneOffByName(reference);
  return exact ?? one('task', reference, view.byIdPrefix('task', reference, MATCHES_MAX));
}

/** Names are compared without regard to case, as the store does. */
export function networkNamed(view: StoreView, name: string): Network | undefined {
  const wanted = name.toLowerCase();
  for (const network of view.all('network')) if (network.spec?.name.toLowerCase() === wanted) return network;
  return undefined;
}

export function findNetwork(view: StoreView, reference: string): Network {
  checkReference('network', reference);
  const exact = view.get('network', reference) ?? networkNamed(view, reference);
  return exact ?? one('network', reference, view.byIdPrefix('network', reference, MATCHES_MAX));
}

export function findPayload(view: StoreView, kind: PayloadKind, reference: string): Payload {
  checkReference(kind.word, reference);
  const exact = kind.get(view, reference) ?? kind.named(view, reference);
  return exact ?? one(kind.word, reference, kind.withPrefix(view, reference, MATCHES_MAX));
}

export function findStack(view: StoreView, reference: string): Stack {
  checkReference('stack', reference);
  const exact = view.get('stack', reference) ?? view.find('stack', 'name', reference.toLowerCase());
  return exact ?? one('stack', reference, view.byIdPrefix('stack', reference, MATCHES_MAX));
}

export function findClient(view: StoreView, reference: string): Client {
  checkReference('client', reference);
  const exact = view.get('client', reference) ?? view.find('client', 'name', reference.toLowerCase());
  return exact ?? one('client', reference, view.byIdPrefix('client', reference, MATCHES_MAX));
}

/** `self` is the id of the node that answers. */
export function findNode(view: StoreView, reference: string, self: string): Node {
  checkReference('node', reference);
  const exact = view.get('node', reference === 'self' ? self : reference);
  if (exact !== undefined) return exact;
  const named = [...view.all('node')].filter((node) => node.description?.hostname === reference);
  if (named.length > 0) return one('node', reference, named, true);
  return one('node', reference, view.byIdPrefix('node', reference, MATCHES_MAX));
}
