/** `renewal.json`: a key, the certificate that belongs to it and the roots, kept together until all are in their places. */
import { SwarmError } from '#common/errors.ts';

export interface Renewal {
  /** As in `node.key`. */
  readonly key: string;
  /** As in `node.crt`. */
  readonly certificate: string;
  /** As in `root.crt`; undefined when the roots stay as they are. */
  readonly roots?: string | undefined;
}

const FORMAT = 1;

export function encodeRenewal(renewal: Renewal): string {
  return `${JSON.stringify({ format: FORMAT, ...renewal })}\n`;
}

/** `path` is for errors, which repeat nothing of the content. */
export function decodeRenewal(text: string, path: string): Renewal {
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch {
    throw damaged(path);
  }
  if (typeof parsed !== 'object' || parsed === null) throw damaged(path);
  const { format, key, certificate, roots } = parsed as Readonly<Record<string, unknown>>;
  if (format !== FORMAT || typeof key !== 'string' || typeof certificate !== 'string') throw damaged(path);
  if (roots !== undefined && typeof roots !== 'string') throw damaged(path);
  return { key, certificate, roots };
}

function damaged(path: string): SwarmError {
  return new SwarmError({
    code: 'precondition',
    reason: 'corrupt-state',
    message: `${path} is damaged`,
    hint: 'remove it: the certificate that is there goes on; or run `swarm leave --force` and join again',
  });
}
