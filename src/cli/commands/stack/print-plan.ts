/** What a deployment would change: every object with its fields. */
import { StackAction, type StackChange } from '#gen/swarm/v1/stacks.ts';
import type { CliContext } from '../../context.ts';
import { printLine } from '../../context.ts';

const SIGNS: Readonly<Record<StackAction, string>> = {
  [StackAction.UNSPECIFIED]: ' ',
  [StackAction.CREATE]: '+',
  [StackAction.UPDATE]: '~',
  [StackAction.REMOVE]: '-',
  [StackAction.KEEP]: '=',
};

export function printPlan(context: CliContext, stack: string, changes: readonly StackChange[]): void {
  const changed = changes.filter(({ action }) => action !== StackAction.KEEP);
  for (const { action, kind, name, fields, replacesTasks } of changed) {
    const note =
      action === StackAction.UPDATE && kind === 'service'
        ? replacesTasks
          ? ' (replaces its tasks)'
          : ' (in place)'
        : '';
    printLine(context, `${SIGNS[action]} ${kind} ${name}${note}`);
    for (const { path, before, after } of fields)
      printLine(context, `    ${path}: ${shown(before)} -> ${shown(after)}`);
  }
  const count = (action: StackAction): number => changes.filter((change) => change.action === action).length;
  if (changed.length === 0) {
    printLine(context, `Stack ${stack} is as the file says: nothing would change.`);
    return;
  }
  printLine(
    context,
    `Stack ${stack}: ${count(StackAction.CREATE)} to create, ${count(StackAction.UPDATE)} to update, ${count(StackAction.REMOVE)} to remove, ${count(StackAction.KEEP)} as they are. Nothing was changed.`,
  );
}

function shown(json: string): string {
  return json === '' ? '(none)' : json;
}
