import type { Node } from '#gen/swarm/v1/objects.ts';
import { nodeShape } from '../../../docker-shape/from-objects.ts';
import { NO_ROOT, type TrustRoot } from '../../../docker-shape/from-tls.ts';
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
  readonly root: TrustRoot;
}

async function inspectNodes({ context, flags, arguments: references }: Invocation): Promise<void> {
  wantsDocument(flags, INSPECT_FORMAT, PRETTY);
  const api = await context.api();
  let root: Promise<TrustRoot> | undefined;
  const trustRoot = (): Promise<TrustRoot> =>
    (root ??= api.control.getCluster({}).then(({ cluster }) => readRoot(cluster?.rootCa?.certificatePem)));
  await inspect<Found>({
    context,
    references,
    format: flags.value(INSPECT_FORMAT),
    isPretty: flags.isSet(PRETTY),
    find: async (reference) => {
      const { node } = await api.control.getNode({ reference });
      return { node: node as Node, root: await trustRoot() };
    },
    toGo: (found) => ({ type: NODE, data: nodeShape(found.node, found.root) }),
    pretty: (found) => prettyNode(found.node, found.root),
  });
}

/** Loaded here alone: other commands read no certificates. */
async function readRoot(pem: Uint8Array | undefined): Promise<TrustRoot> {
  if (pem === undefined || pem.length === 0) return NO_ROOT;
  const { parseCertificates } = await import('#certs/certificate.ts');
  const text = new TextDecoder().decode(pem);
  try {
    const [root] = parseCertificates(pem, 'root certificate');
    return root === undefined ? NO_ROOT : { pem: text, subject: root.subjectDer, publicKey: root.publicKeyDer };
  } catch {
    // The node is what was asked for; a root that this release cannot read is shown as it is.
    return { ...NO_ROOT, pem: text };
  }
}
