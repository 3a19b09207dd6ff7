/** `node inspect --pretty`: Docker's page about a node. What the node says of itself stays on its lines. */
import { visibleLine } from '#common/readable-text.ts';
import { binarySize } from '#common/size.ts';
import { printTime } from '#common/template/print-value.ts';
import { type DrainStatus, type Node, NodeState, type NodeTls } from '#gen/swarm/v1/objects.ts';
import { NODE_AVAILABILITIES, NODE_STATES } from '../../../docker-shape/from-objects.ts';
import type { TrustRoot } from '../../../docker-shape/from-tls.ts';
import { capitalised } from '../../format/texts.ts';
import { dataPathLines } from '../shared/data-path-lines.ts';

export function prettyNode(node: Node, root: TrustRoot): string {
  const { spec, status, description } = node;
  const lines = [`ID:\t\t\t${node.id}`];
  if (spec !== undefined && spec.name !== '') lines.push(`Name:\t\t\t${visibleLine(spec.name)}`);
  lines.push(...labels('Labels:', spec?.labels ?? {}));
  lines.push(`Hostname:              \t${visibleLine(description?.hostname ?? '')}`);
  lines.push(`Joined at:             \t${printTime(node.createdAtMs).toLowerCase()}`);
  lines.push('Status:', ` State:\t\t\t${capitalised(NODE_STATES[status?.state ?? NodeState.UNKNOWN])}`);
  if (status !== undefined && status.message !== '')
    lines.push(` Message:              \t${visibleLine(capitalised(status.message))}`);
  lines.push(` Availability:         \t${capitalised(NODE_AVAILABILITIES[spec?.availability ?? 0])}`);
  if (node.drain !== undefined) lines.push(...drainLines(node.drain));
  if (status !== undefined && status.address !== '') lines.push(` Address:\t\t${visibleLine(status.address)}`);
  lines.push(...manager(node), ...machine(node), ...dataPathLines('', description?.dataPath));
  lines.push(...labels('Engine Labels:', description?.engine?.labels ?? {}));
  lines.push(...tlsLines(description?.tls, root));
  return lines.join('\n');
}

function labels(title: string, map: Readonly<Record<string, string>>): readonly string[] {
  const entries = Object.entries(map).toSorted(([a], [b]) => (a < b ? -1 : 1));
  if (entries.length === 0) return [];
  return [title, ...entries.map(([key, value]) => visibleLine(` - ${key}${value === '' ? '' : `=${value}`}`))];
}

/** Not Docker's: its nodes are emptied at once. */
function drainLines({ total, left, message, startedAtMs, completedAtMs }: DrainStatus): readonly string[] {
  const isOver = completedAtMs > 0;
  const time = printTime(isOver ? completedAtMs : startedAtMs).toLowerCase();
  return [
    ` Drain:\t\t\t${isOver ? `complete since ${time}` : `${left} of ${total} tasks left, since ${time}`}`,
    ...(message === '' ? [] : [` Waits for:\t\t${visibleLine(message)}`]),
  ];
}

function tlsLines(tls: NodeTls | undefined, root: TrustRoot): readonly string[] {
  if (root.pem === '') return [];
  const base64 = (bytes: Uint8Array): string => Buffer.from(bytes).toString('base64');
  return [
    'TLS Info:',
    ' TrustRoot:',
    root.pem,
    ` Issuer Subject:\t${base64(root.subject)}`,
    ` Issuer Public Key:\t${base64(root.publicKey)}`,
    ...(tls === undefined ? [] : [` Certificate Until:\t${printTime(tls.notAfterMs).toLowerCase()}`]),
  ];
}

function manager({ managerStatus: status }: Node): readonly string[] {
  if (status === undefined) return [];
  const member = status.learner ? 'Learner' : 'Reachable';
  return [
    'Manager Status:',
    ` Address:\t\t${visibleLine(status.address)}`,
    ` Raft Status:\t\t${status.reachable ? member : 'Unreachable'}`,
    ` Leader:\t\t${status.leader ? 'Yes' : 'No'}`,
  ];
}

function machine({ description }: Node): readonly string[] {
  return [
    'Platform:',
    ` Operating System:\t${visibleLine(description?.platform?.os ?? '')}`,
    ` Architecture:\t\t${visibleLine(description?.platform?.architecture ?? '')}`,
    'Resources:',
    ` CPUs:\t\t\t${Math.trunc((description?.resources?.cpuNanos ?? 0) / 1e9)}`,
    ` Memory:\t\t${binarySize(description?.resources?.memoryBytes ?? 0)}`,
    'Plugins:',
    ' Log:\t\tjson-file',
    ' Volume:\t\tlocal',
    `Engine Version:\t\t${visibleLine(description?.engine?.version ?? '')}`,
  ];
}
