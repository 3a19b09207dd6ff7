/** `renewal.json`: a key and the certificate that belongs to it, kept together until both are in their places. */
import { SwarmError } from '#common/errors.ts';

export interface Renewal {
  /** As in `node.key`. */
  readonly key: string;
  /** As in `node.crt`. */
  readonly certificate: string;
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
  const { format, key, certificate } = parsed as Readonly<Record<string, unknown>>;
  if (format !== FORMAT || typeof key !== 'string' || typeof certificate !== 'string') throw damaged(path);
  return { key, certificate };
}

function damaged(path: string): SwarmError {
  return new SwarmError({
    code: 'precondition',
    reason: 'corrupt-state',
    message: `${path} is damaged`,
    hint: 'remove it: the certificate that is there goes on; or run `swarm leave --force` and join again',
  });
}
