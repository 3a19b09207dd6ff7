import { visibleLine } from '#common/readable-text.ts';
import type { NodeDataPath } from '#gen/swarm/v1/objects.ts';

/** Where the node's packets to other nodes leave it. Docker shows none of these. */
export function dataPathLines(indent: string, dataPath: NodeDataPath | undefined): readonly string[] {
  if (dataPath === undefined || dataPath.address === '') return [];
  const { address, mtu, encryptionProblem } = dataPath;
  return [
    `${indent}Data Path Address: ${visibleLine(address)}${mtu === 0 ? '' : ` (MTU ${mtu})`}`,
    ...(encryptionProblem === ''
      ? []
      : [`${indent}Data Path Encryption: not possible: ${visibleLine(encryptionProblem)}`]),
  ];
}
