/** What a change of a node's availability needs besides. */
import { invalidField } from '#common/errors.ts';
import type { Node } from '#gen/swarm/v1/objects.ts';
import { NodeAvailability, type NodeSpec } from '#gen/swarm/v1/specs.ts';
import type { StoreView } from '#manager/store/index.ts';
import { requireIdentity } from './feature-gates.ts';

const AVAILABILITIES: ReadonlySet<NodeAvailability> = new Set(Object.values(NodeAvailability));

/**
 * The node with its new spec. A drain that begins knows nothing of an earlier one.
 * @throws SwarmError `bad-field` for an availability that there is not, `feature-level` for what managers may not know
 */
export function withNodeSpec(view: StoreView, node: Node, spec: NodeSpec): Node {
  if (!AVAILABILITIES.has(spec.availability))
    throw invalidField('availability', `availability: there is no ${spec.availability}`, 'use active, pause or drain');
  if (spec.drain !== undefined) requireIdentity(view, 'drain');
  const begins = isDrain(spec) && !isDrain(node.spec);
  return { ...node, spec, drain: begins ? undefined : node.drain };
}

function isDrain(spec: NodeSpec | undefined): boolean {
  return spec?.availability === NodeAvailability.DRAIN;
}
