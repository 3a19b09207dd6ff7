/** The bytes as a Buffer on the same memory: what grpc-js works with. */
export function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** The serializer of one who has serialized already. */
export function sameBytes(bytes: Buffer): Buffer {
  return bytes;
}
