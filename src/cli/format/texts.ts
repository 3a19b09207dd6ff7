/** Small texts in Docker's form. */
import { humanDuration, NANOS_PER_MS } from '#common/duration.ts';
import { familiarRepository, parseImageReference } from '#common/image-reference.ts';

/** How many characters of an id are shown. */
const SHORT_ID = 12;

/** The first 12 characters of an id, without the name of a hash before it. */
export function shortId(id: string): string {
  return id.replace(/^[a-z0-9]+:/, '').slice(0, SHORT_ID);
}

/** The text in so many columns, its end replaced by an ellipsis where it is longer. */
export function ellipsis(text: string, columns: number): string {
  const characters = Array.from(text);
  return characters.length <= columns ? text : `${characters.slice(0, columns - 1).join('')}…`;
}

/** `running` -> `Running`. */
export function capitalised(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}

/** `3 minutes ago`. */
export function ago(thenMs: number, nowMs: number): string {
  return `${humanDuration((nowMs - thenMs) * NANOS_PER_MS)} ago`;
}

/** The image as people write it: without the digest when it has a tag, without the default registry. */
export function displayImage(image: string): string {
  const parsed = parseImageReference(image);
  if (!parsed.ok || parsed.value.tag === undefined) return image;
  return `${familiarRepository(parsed.value)}:${parsed.value.tag}`;
}

/** Order in which numbers within texts count as numbers: `web.2` before `web.10`. */
export function naturalOrder(a: string, b: string): number {
  const left = a.match(/\d+|\D/gu) ?? [];
  const right = b.match(/\d+|\D/gu) ?? [];
  for (let i = 0; i < left.length && i < right.length; i++) {
    const difference = compareParts(left[i] as string, right[i] as string);
    if (difference !== 0) return difference;
  }
  return left.length - right.length;
}

function compareParts(a: string, b: string): number {
  const aDigits = /^\d/.test(a);
  const bDigits = /^\d/.test(b);
  if (aDigits !== bDigits) return aDigits ? -1 : 1;
  if (!aDigits) return (a.codePointAt(0) ?? 0) - (b.codePointAt(0) ?? 0);
  const x = a.replace(/^0+/, '');
  const y = b.replace(/^0+/, '');
  if (x.length !== y.length) return x.length - y.length;
  if (x !== y) return x < y ? -1 : 1;
  return a.length - b.length;
}
