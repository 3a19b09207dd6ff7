/** Fixed-width base36 of big-endian bytes, lower case, as Swarm's tokens have it. */

const RADIX = 36n;

export function encodeBase36(bytes: Uint8Array, width: number): string {
  return BigInt(`0x${Buffer.from(bytes).toString('hex') || '0'}`)
    .toString(36)
    .padStart(width, '0');
}

/** The bytes, or undefined when the digits (which must be [0-9a-z]) stand for more than fits. */
export function decodeBase36(digits: string, byteLength: number): Buffer | undefined {
  let value = 0n;
  for (const digit of digits) value = value * RADIX + BigInt(Number.parseInt(digit, 36));
  const hex = value.toString(16).padStart(byteLength * 2, '0');
  return hex.length === byteLength * 2 ? Buffer.from(hex, 'hex') : undefined;
}
