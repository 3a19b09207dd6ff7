/**
 * Node's HTTP/2 client ends a stream in order before it resets it, so that a server cannot tell a cancelled upload from
 * a whole one. Our clients therefore send one last message when they cancel while they still could write: a field
 * number 0, which no message can have. To a server that does not know the mark it is a broken message, which serves.
 */
export const CUT_MARK: Uint8Array = new Uint8Array([0]);

export function isCutMark(message: Uint8Array): boolean {
  return message.length === 1 && message[0] === 0;
}
