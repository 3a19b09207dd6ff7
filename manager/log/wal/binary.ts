/** Little-endian 64-bit numbers up to 2^53 - 1, faster than by way of BigInt. */
export function writeU64(buffer: Buffer, value: number, offset: number): void {
  buffer.writeUInt32LE(value % 0x1_0000_0000, offset);
  buffer.writeUInt32LE(Math.floor(value / 0x1_0000_0000), offset + 4);
}

/** NaN when the number is beyond 2^53 - 1, so that every comparison with it fails. */
export function readU64(buffer: Buffer, offset: number): number {
  const high = buffer.readUInt32LE(offset + 4);
  return high > 0x1f_ffff ? Number.NaN : high * 0x1_0000_0000 + buffer.readUInt32LE(offset);
}

/** A Buffer over the same bytes. */
export function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
