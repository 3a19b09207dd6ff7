/** What a check has written, as it fits into a line of a status: one line, printable, and no longer than it may be. */
export function checkMessage(text: string, bytesMax: number): string {
  const line = text
    .replaceAll(/\p{Cc}+/gu, ' ')
    .trim()
    .replaceAll('\uFFFD', '?');
  if (Buffer.byteLength(line) <= bytesMax) return line;
  const cut = Buffer.from(line)
    .subarray(0, bytesMax - 3)
    .toString('utf8');
  return `${cut.replace(/\uFFFD+$/, '')}...`;
}
