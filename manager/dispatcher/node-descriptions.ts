/**
 * What nodes say of themselves, fit to be kept and shown: it is on the screens of administrators, and a worker may be in
 * the hands of somebody else. Texts are cleaned and names that no node may have are not taken, which is logged once for
 * each node; what is too long is refused.
 */
import { SwarmError } from '#common/errors.ts';
import { isHostName } from '#common/host-name.ts';
import { LIMITS } from '#common/limits.ts';
import type { Logger } from '#common/log.ts';
import { readableText, visibleLine } from '#common/readable-text.ts';
import { type Node, NodeDescription } from '#gen/swarm/v1/objects.ts';
import type { StoreView } from '#manager/store/index.ts';

export class NodeDescriptions {
  readonly #logger: Logger;
  /** What was last complained of, by node. */
  readonly #remarks = new Map<string, string>();

  constructor(logger: Logger) {
    this.#logger = logger;
  }

  /**
   * The description as it is to be kept; undefined when there is none.
   * @throws SwarmError `too-large` for more than `DESCRIPTION_BYTES`
   */
  taken(node: Node, told: NodeDescription | undefined, view: StoreView): NodeDescription | undefined {
    if (told === undefined) return undefined;
    checkSize(told);
    const cleaned = visibleTexts(told);
    const remarks: string[] = [];
    if (cleaned !== told) remarks.push('it has characters that are not to be shown');
    const isNamed = isHostName(told.hostname);
    if (!isNamed) remarks.push('its host name is none: it keeps the one that it has');
    const hostname = isNamed ? told.hostname : (node.description?.hostname ?? '');
    const namesake = hostname === node.description?.hostname ? undefined : namesakeOf(node.id, hostname, view);
    if (namesake !== undefined) remarks.push(`it has taken the name of node ${namesake}`);
    this.#remark(node.id, remarks.join('; '));
    return cleaned.hostname === hostname ? cleaned : { ...cleaned, hostname };
  }

  forget(nodeId: string): void {
    this.#remarks.delete(nodeId);
  }

  #remark(nodeId: string, remark: string): void {
    if (remark === (this.#remarks.get(nodeId) ?? '')) return;
    this.#remarks.set(nodeId, remark);
    if (remark !== '') this.#logger.warn('what a node says of itself was not taken as it is', { node: nodeId, remark });
  }
}

/** A line that a node says why it does something, or where it is. */
export function shownLine(text: string): string {
  return readableText(visibleLine(text));
}

function checkSize(told: NodeDescription): void {
  const bytes = NodeDescription.encode(told).length;
  if (bytes <= LIMITS.DESCRIPTION_BYTES) return;
  throw new SwarmError({
    code: 'exhausted',
    reason: 'too-large',
    limit: 'DESCRIPTION_BYTES',
    message: `the node describes itself in ${bytes} bytes, more than DESCRIPTION_BYTES (${LIMITS.DESCRIPTION_BYTES})`,
    hint: 'give its daemon fewer or shorter labels and generic resources',
  });
}

function namesakeOf(nodeId: string, hostname: string, view: StoreView): string | undefined {
  if (hostname === '') return undefined;
  for (const { id, description } of view.all('node'))
    if (id !== nodeId && description?.hostname === hostname) return id;
  return undefined;
}

/** The same value where there is nothing to clean; keys of maps are texts, too. */
function visibleTexts<T>(value: T): T {
  return cleaned(value) as T; // its shape stays as it is: only texts become other texts
}

function cleaned(value: unknown): unknown {
  if (typeof value === 'string') return visibleLine(value);
  if (typeof value !== 'object' || value === null || value instanceof Uint8Array) return value;
  if (Array.isArray(value)) {
    const items = value.map(cleaned);
    return items.every((item, index) => item === value[index]) ? value : items;
  }
  const before = Object.entries(value);
  const after = before.map(([key, item]) => [visibleLine(key), cleaned(item)] as const);
  const isSame = after.every(([key, item], index) => key === before[index]?.[0] && item === before[index][1]);
  return isSame ? value : Object.fromEntries(after);
}
