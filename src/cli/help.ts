import type { Command, CommandGroup, CommandImplementation } from './command.ts';
import type { AnyFlag } from './flags.ts';

/** Columns of help texts where no terminal says otherwise. */
const DEFAULT_COLUMNS = 80;

/** Below this, text is set as a block of its own under the flag. */
const TEXT_COLUMNS_MIN = 24;

/** How much a line may go over, rather than leave a short word alone on the next. */
const SLOP = 5;

const BLOCK_INDENT = 16;

export function commandHelp(
  path: string,
  command: Command,
  implementation: CommandImplementation,
  columns: number | undefined,
): string {
  const parts = [`Usage:  ${path} ${command.usage}`.trimEnd(), command.summary];
  const names = aliasNames(path, command);
  if (names.length > 1) parts.push(`Aliases:\n  ${names.join(', ')}`);
  const flags = flagsHelp(implementation.flags, columns);
  if (flags !== '') parts.push(`Options:\n${flags}`);
  if (implementation.examples.length > 0)
    parts.push(`Examples:\n${implementation.examples.map((example) => `  ${example}`).join('\n')}`);
  return `${parts.join('\n\n')}\n`;
}

function aliasNames(path: string, command: Command): readonly string[] {
  const parent = path.slice(0, path.lastIndexOf(' '));
  return [path, ...(command.aliases ?? []).map((alias) => `${parent} ${alias}`), ...(command.alsoKnownAs ?? [])];
}

/** Help of a group; for the whole program with `globalFlags`. */
export function groupHelp(
  path: string,
  group: CommandGroup,
  globalFlags: readonly AnyFlag[],
  columns: number | undefined,
): string {
  const shown = group.children.filter((child) => child.kind !== 'absent' && child.hidden !== true) as (
    | Command
    | CommandGroup
  )[];
  const sorted = shown.toSorted((a, b) => (a.name < b.name ? -1 : 1));
  const width = Math.max(...sorted.map((child) => child.name.length));
  const lines = (children: typeof sorted): string =>
    children.map((child) => `  ${child.name.padEnd(width)}  ${child.summary}`).join('\n');
  const isRoot = globalFlags.length > 0;
  const parts = [`Usage:  ${path} ${isRoot ? '[OPTIONS] COMMAND' : 'COMMAND'}`, group.summary];
  if (isRoot) {
    parts.push(`Management Commands:\n${lines(sorted.filter((child) => child.kind === 'group'))}`);
    parts.push(`Commands:\n${lines(sorted.filter((child) => child.kind === 'command'))}`);
    parts.push(`Global Options:\n${flagsHelp(globalFlags, columns)}`);
  } else parts.push(`Commands:\n${lines(sorted)}`);
  parts.push(`Run '${path} COMMAND --help' for more information on a command.`);
  return `${parts.join('\n\n')}\n`;
}

/** The flags, sorted, their texts in one column and wrapped, without an end of line. */
export function flagsHelp(flags: readonly AnyFlag[], columns = DEFAULT_COLUMNS): string {
  const shown = flags.filter((flag) => flag.hidden !== true).toSorted((a, b) => (a.name < b.name ? -1 : 1));
  const rows = shown.map((flag) => {
    const short = flag.short === undefined ? '      ' : `  -${flag.short}, `;
    const left = `${short}--${flag.name}${flag.type === '' ? '' : ` ${flag.type}`}`;
    const right = flag.usage + (flag.shownDefault === undefined ? '' : ` (default ${flag.shownDefault})`);
    return { left, right };
  });
  const indent = Math.max(0, ...rows.map((row) => row.left.length)) + 3;
  return rows.map(({ left, right }) => left.padEnd(indent) + wrap(right, indent, columns - 1)).join('\n');
}

/** Breaks the text at blanks so that no line goes beyond `columns`; all but the first line are indented. */
function wrap(text: string, indent: number, columns: number): string {
  const asBlock = columns - indent < TEXT_COLUMNS_MIN;
  const margin = asBlock ? BLOCK_INDENT : indent;
  const width = columns - margin;
  if (width < TEXT_COLUMNS_MIN) return text;
  const lines: string[] = [];
  let rest = text;
  while (rest !== '') {
    const [line, remainder] = firstLine(rest, width - SLOP);
    lines.push(line);
    rest = remainder;
  }
  const separator = `\n${' '.repeat(margin)}`;
  return (asBlock ? separator : '') + lines.map((line) => line.replaceAll('\n', separator)).join(separator);
}

function firstLine(text: string, width: number): readonly [line: string, rest: string] {
  if (width + SLOP > text.length) return [text, ''];
  const head = text.slice(0, width);
  const blank = Math.max(head.lastIndexOf(' '), head.lastIndexOf('\t'), head.lastIndexOf('\n'));
  if (blank <= 0) return [text, ''];
  const newline = head.lastIndexOf('\n');
  const at = newline > 0 && newline < blank ? newline : blank;
  return [text.slice(0, at), text.slice(at + 1)];
}
