/** Columns as Docker sets them: cells separated by tabs, at least 10 wide, 3 blanks apart. */

const WIDTH_MIN = 10;
const PADDING = 3;

/**
 * Lays the text's tab-separated cells out in columns. A column is as wide as the widest of its cells in an unbroken
 * run of lines that have a cell there; what follows the last tab of a line is in no column and is not padded.
 */
export function alignTabs(text: string): string {
  const lines = text.split('\n').map((line) => line.split('\t'));
  const widths = lines.map((cells) => cells.slice(1).map(() => 0));
  const columns = Math.max(...widths.map((row) => row.length));
  for (let column = 0; column < columns; column++) setWidths(lines, widths, column);
  return lines
    .map((cells, i) => cells.map((cell, column) => padRight(cell, widths[i]?.[column] ?? 0)).join(''))
    .join('\n');
}

function setWidths(lines: readonly (readonly string[])[], widths: readonly number[][], column: number): void {
  let start = 0;
  while (start < lines.length) {
    let end = start;
    let width = WIDTH_MIN;
    while (end < lines.length && column < (lines[end] as readonly string[]).length - 1) {
      width = Math.max(width, textWidth(lines[end]?.[column] ?? '') + PADDING);
      end++;
    }
    for (let i = start; i < end; i++) (widths[i] as number[])[column] = width;
    start = Math.max(end, start + 1);
  }
}

function padRight(text: string, width: number): string {
  return text + ' '.repeat(Math.max(0, width - textWidth(text)));
}

/** Characters, not UTF-16 units. */
function textWidth(text: string): number {
  return Array.from(text).length;
}
