/**
 * What the leader does next to bring every node from the present root to the new one. Pure. All that it goes by is in the
 * store, so another leader goes on; how long nodes take is known to one leader only, and only makes it more patient.
 *
 *   to-ask --asked--> asked --the node renews--> renewed --it says so--> done
 *   renewed, and not heard of for long --> asked again
 *   all that are waited for are done --> the new root is the root
 */
import type { Cluster, Node } from '#gen/swarm/v1/objects.ts';
import type { RotationConfig } from './config.ts';
import { type NodePhase, progressOf, targetOf } from './node-phase.ts';

export interface RotationFacts {
  readonly cluster: Cluster | undefined;
  readonly nodes: Iterable<Node>;
  /** For how long this leader has seen the node in this phase. */
  readonly waitedMs: (nodeId: string, phase: NodePhase) => number;
}

export type RotationDecision =
  | { readonly kind: 'none' }
  | { readonly kind: 'finish' }
  | {
      readonly kind: 'go-on';
      /** Nodes that are asked for another certificate now. */
      readonly ask: readonly string[];
      /** Why it does not get on; empty as long as it does. */
      readonly problem: string;
    };

interface Blocked {
  readonly name: string;
  readonly why: string;
}

export function decideRotation({ cluster, nodes, waitedMs }: RotationFacts, config: RotationConfig): RotationDecision {
  const rotation = cluster?.rootCa?.rotation;
  if (rotation === undefined) return { kind: 'none' };
  const target = targetOf(rotation);
  const leftBehind = new Set(rotation.leftBehind);
  const blocked: Blocked[] = [];
  const waiting: string[] = [];
  const again: string[] = [];
  let under = 0;
  for (const node of nodes) {
    const { phase } = progressOf(node, target, leftBehind);
    if (phase === 'done' || phase === 'left-behind') continue;
    const patience = waitedMs(node.id, phase) < config.patienceMs;
    if (phase === 'to-ask') waiting.push(node.id);
    else if (phase === 'renewed' && !patience) again.push(node.id);
    else if (phase === 'away' || phase === 'too-old' || !patience)
      blocked.push({ name: node.description?.hostname || node.id, why: reasonOf(phase, node) });
    else under++;
  }
  const missing = waiting.length + again.length + under + blocked.length;
  if (missing === 0) return { kind: 'finish' };
  const ask = [...again, ...waiting].slice(0, Math.max(0, config.atOnce - under));
  const moves = waiting.length + again.length + under > 0;
  return { kind: 'go-on', ask, problem: moves ? '' : problemOf(blocked) };
}

/** What a node lacks, as a user reads it. */
export function reasonOf(phase: NodePhase, node: Node): string {
  switch (phase) {
    case 'away':
      return 'is not reachable: bring it up, remove it, or leave it behind';
    case 'too-old':
      return 'runs a release that cannot follow: upgrade it, or leave it behind';
    case 'to-ask':
      return 'waits for its turn';
    case 'asked':
      return node.certificate?.error
        ? `has no new certificate: ${node.certificate.error}`
        : 'has not renewed its certificate yet';
    case 'renewed':
      return 'has not shown its new certificate yet';
    case 'distrusting':
      return 'has not said yet that it trusts the new root';
    case 'done':
      return 'is done';
    case 'left-behind':
      return 'is left behind';
  }
}

const NAMES_TOLD = 5;

/** `web-3, web-4 and 2 more: is not reachable ...; web-9: ...`. */
function problemOf(blocked: readonly Blocked[]): string {
  const byReason = new Map<string, string[]>();
  for (const { name, why } of blocked) byReason.set(why, [...(byReason.get(why) ?? []), name]);
  return [...byReason].map(([why, names]) => `${namesOf(names)}: ${why}`).join('; ');
}

function namesOf(names: readonly string[]): string {
  const more = names.length - NAMES_TOLD;
  const told = names.slice(0, NAMES_TOLD).join(', ');
  return more > 0 ? `${told} and ${more} more` : told;
}
