import type { SwarmError } from '#common/errors.ts';
import { visibleText } from '#common/readable-text.ts';
import type { GoValue } from '#common/template/go-types.ts';
import { CliError } from '../../cli-errors.ts';
import type { CliContext } from '../../context.ts';
import { inspectFormat } from '../../format/inspect-format.ts';
import { collectFailures } from './each.ts';

export interface Inspection<T> {
  readonly context: CliContext;
  readonly references: readonly string[];
  readonly format: string | undefined;
  readonly isPretty: boolean;
  readonly find: (reference: string) => Promise<T>;
  readonly toGo: (object: T) => GoValue;
  /** The text for people; absent where Docker has none. */
  readonly pretty?: (object: T) => string;
  /** Templates may use the names that the object has in JSON, too. */
  readonly hasJsonNames?: boolean;
  /** Docker's words for what was not found, where they are not the daemon's. */
  readonly notFound?: (reference: string, error: SwarmError) => string | undefined;
}

/** Shows objects. Those that cannot be found are reported at the end; what was found is shown all the same. */
export async function inspect<T>(inspection: Inspection<T>): Promise<void> {
  const { context, references, format, isPretty, find } = inspection;
  if (isPretty && format !== undefined && format !== '' && format !== 'pretty')
    throw new CliError('--format is incompatible with human friendly format');
  if (inspection.pretty !== undefined && (isPretty || format === 'pretty')) {
    await showPretty(inspection, inspection.pretty);
    return;
  }
  const output = inspectFormat(format, { hasJsonNames: inspection.hasJsonNames === true });
  const failures = collectFailures();
  for (const reference of references)
    await failures.attempt(
      async () => output.add(inspection.toGo(await find(reference))),
      inspection.notFound && wordsFor(inspection, reference),
    );
  context.stdout.write(output.text());
  failures.report();
}

/** For people all or nothing is shown. */
async function showPretty<T>(inspection: Inspection<T>, pretty: (object: T) => string): Promise<void> {
  const { context, references, find } = inspection;
  const failures = collectFailures();
  let text = '';
  for (const reference of references) {
    await failures.attempt(async () => {
      text += `${visibleText(pretty(await find(reference)))}\n`;
    }, inspection.notFound && wordsFor(inspection, reference));
    failures.report();
  }
  context.stdout.write(text);
}

function wordsFor<T>(inspection: Inspection<T>, reference: string): (error: SwarmError) => string {
  return (error) => inspection.notFound?.(reference, error) ?? `Error response from daemon: ${error.message}`;
}
