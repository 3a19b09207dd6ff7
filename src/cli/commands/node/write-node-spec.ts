import { SwarmError } from '#common/errors.ts';
import type { Node } from '#gen/swarm/v1/objects.ts';
import { NodeSpec } from '#gen/swarm/v1/specs.ts';
import type { SwarmApi } from '../../api.ts';
import { CliError } from '../../cli-errors.ts';

/** A change of the node in between is read again; more often than this somebody works against us. */
const ATTEMPTS = 8;

export interface WrittenNode {
  /** As it was read before the write. */
  readonly node: Node;
  readonly isWritten: boolean;
}

/**
 * Everything at once or nothing: one write, decided on the node as it is then. Nothing is written where `change` has
 * nothing to change, and returns undefined.
 */
export async function writeNodeSpec(
  api: SwarmApi,
  reference: string,
  change: (spec: NodeSpec) => NodeSpec | undefined,
): Promise<WrittenNode> {
  for (let attempt = 1; ; attempt++) {
    const { node } = await api.control.getNode({ reference });
    if (node === undefined) throw new CliError(`the daemon did not say what ${reference} is`);
    const spec = change(node.spec ?? NodeSpec.create({ desiredRole: node.role }));
    if (spec === undefined) return { node, isWritten: false };
    try {
      await api.control.updateNode({ id: node.id, version: node.version, spec });
      return { node, isWritten: true };
    } catch (thrown) {
      const isStale = thrown instanceof SwarmError && thrown.reason === 'out-of-sequence';
      if (!isStale || attempt >= ATTEMPTS) throw thrown;
    }
  }
}
