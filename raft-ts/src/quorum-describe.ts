import type { Acknowledged, Majority } from './quorum.ts';

/** A chart of what each voter has acknowledged: the longer the bar, the more voters are behind it. */
export function describeAcknowledged(voters: Majority, acknowledged: Acknowledged): string {
  if (voters.length === 0) return '<empty majority quorum>';
  const size = voters.length;
  const rows = voters.map((id) => ({ id, index: acknowledged(id) }));
  const ascending = rows.map((row) => row.index ?? 0).sort((a, b) => a - b);
  const blank = ' '.repeat(size);
  let text = `${blank}    idx\n`;
  for (const { id, index } of rows) {
    const bar = ascending.indexOf(index ?? 0);
    const drawn = index === undefined ? `?${blank}` : `${'x'.repeat(bar)}>${' '.repeat(size - bar)}`;
    text += `${drawn} ${String(index ?? 0).padStart(5)}    (id=${id.toString(16)})\n`;
  }
  return text;
}
