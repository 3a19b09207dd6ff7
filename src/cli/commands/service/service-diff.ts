import type { FieldDifference } from '#common/field-diff.ts';
import type { Revision, Service } from '#gen/swarm/v1/objects.ts';
import { specDifferences } from '#proto/spec-diff.ts';
import { CliError } from '../../cli-errors.ts';
import type { CommandImplementation, Invocation } from '../../command.ts';
import { printLine } from '../../context.ts';
import { unsigned } from '../../values/scalars.ts';
import { OUTPUT, wantsDocument } from '../shared/format-flags.ts';
import { revisionsOf } from './revisions.ts';

export const serviceDiff: CommandImplementation = {
  flags: [OUTPUT],
  examples: [
    '# What has changed since revision 3',
    'swarm service diff web 3',
    'swarm service diff web 3 5',
    'swarm service diff --output json web 3 5',
  ],
  argumentKind: 'service',
  run: showDifferences,
};

async function showDifferences({ context, flags, arguments: given }: Invocation): Promise<void> {
  const [reference = '', from = '', to] = given;
  const { service, revisions } = await revisionsOf(await context.api(), reference);
  const before = named(service, revisions, from);
  const after = to === undefined ? named(service, revisions, String(service.revision)) : named(service, revisions, to);
  const differences = specDifferences(before.spec, after.spec);
  if (wantsDocument(flags)) printLine(context, JSON.stringify(differences, null, 2));
  else for (const difference of differences) printLine(context, lineOf(difference));
}

function named(service: Service, revisions: readonly Revision[], text: string): Revision {
  let number: number;
  try {
    number = unsigned(text);
  } catch {
    throw new CliError(`${JSON.stringify(text)} is no number of a revision`, {
      hint: `see \`swarm service history ${service.spec?.name ?? service.id}\``,
    });
  }
  const found = revisions.find((revision) => revision.number === number);
  if (found !== undefined) return found;
  const kept = revisions.map((revision) => revision.number).join(', ');
  throw new CliError(`service ${service.spec?.name ?? service.id} has no revision ${number}: kept are ${kept}`, {
    hint: 'choose one of them',
  });
}

/** `~ task.container.image: "web:1" -> "web:2"`; + and - for what is there on one side only. */
function lineOf({ path, before, after }: FieldDifference): string {
  if (before === '') return `+ ${path}: ${after}`;
  if (after === '') return `- ${path}: ${before}`;
  return `~ ${path}: ${before} -> ${after}`;
}
