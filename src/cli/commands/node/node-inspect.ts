import type { Node } from '#gen/swarm/v1/objects.ts';
import { nodeShape } from '../../../docker-shape/from-objects.ts';
import { NODE } from '../../../docker-shape/swarm-types.ts';
import type { CommandImplementation, Invocation } from '../../command.ts';
import { INSPECT_FORMAT, OUTPUT, PRETTY, wantsDocument } from '../shared/format-flags.ts';
import { inspect } from '../shared/inspect.ts';
import { prettyNode } from './pretty-node.ts';

export const nodeInspect: CommandImplementation = {
  flags: [INSPECT_FORMAT, OUTPUT, PRETTY],
  examples: [
    'swarm node inspect self',
    'swarm node inspect --pretty node-b',
    "swarm node inspect --format '{{.Status.Addr}}' node-b",
  ],
  argumentKind: 'node',
  run: inspectNodes,
};

interface Found {
  readonly node: Node;
  /** PEM of the cluster's root. */
  readonly rootCertificate: string;
}

async function inspectNodes({ context, flags, arguments: references }: Invocation): Promise<void> {
  wantsDocument(flags, INSPECT_FORMAT, PRETTY);
  const api = await context.api();
  let root: Promise<string> | undefined;
  const rootCertificate = (): Promise<string> =>
    (root ??= api.control
      .getCluster({})
      .then(({ cluster }) => new TextDecoder().decode(cluster?.rootCa?.certificatePem)));
  await inspect<Found>({
    context,
    references,
    format: flags.value(INSPECT_FORMAT),
    isPretty: flags.isSet(PRETTY),
    find: async (reference) => {
      const { node } = await api.control.getNode({ reference });
      return { node: node as Node, rootCertificate: await rootCertificate() };
    },
    toGo: (found) => ({ type: NODE, data: nodeShape(found.node, found.rootCertificate) }),
    pretty: (found) => prettyNode(found.node, found.rootCertificate),
  });
}
