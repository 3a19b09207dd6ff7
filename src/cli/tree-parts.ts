/** What the tree of commands is written with. */
import type { Command, CommandGroup, CommandImplementation, CommandNode } from './command.ts';

export const OPTIONS = '[OPTIONS]';

export function group(name: string, summary: string, children: readonly CommandNode[]): CommandGroup {
  return { kind: 'group', name, summary, children };
}

export function command(
  name: string,
  summary: string,
  usage: string,
  count: Command['arguments'],
  load: () => Promise<CommandImplementation>,
  more: Partial<Command> = {},
): Command {
  return { kind: 'command', name, summary, usage, arguments: count, load, ...more };
}
