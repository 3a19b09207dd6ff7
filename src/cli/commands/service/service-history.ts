import { describeAuthor } from '#common/author.ts';
import type { Revision } from '#gen/swarm/v1/objects.ts';
import type { CommandImplementation, Invocation } from '../../command.ts';
import { formatList, type ListView } from '../../format/list-format.ts';
import { ago, displayImage } from '../../format/texts.ts';
import { LIST_FORMAT, NO_TRUNC, OUTPUT, wantsDocument } from '../shared/format-flags.ts';
import { REVISION_OUTCOMES, revisionsOf } from './revisions.ts';

export const serviceHistory: CommandImplementation = {
  flags: [LIST_FORMAT, OUTPUT, NO_TRUNC],
  examples: [
    'swarm service history web',
    "swarm service history --format '{{.Revision}} {{.Outcome}} {{.Image}}' web",
    'swarm service history --output json web',
  ],
  argumentKind: 'service',
  run: listRevisions,
};

interface Entry {
  readonly revision: Revision;
  readonly isCurrent: boolean;
}

async function listRevisions({ context, flags, arguments: [reference = ''] }: Invocation): Promise<void> {
  const { service, revisions } = await revisionsOf(await context.api(), reference);
  const entries = revisions.map((revision) => ({ revision, isCurrent: revision.number === service.revision }));
  context.stdout.write(
    formatList(historyView(context.clock.now(), flags.isSet(NO_TRUNC)), entries.toReversed(), {
      format: flags.value(LIST_FORMAT),
      quiet: false,
      asArray: wantsDocument(flags, LIST_FORMAT),
    }),
  );
}

function historyView(nowMs: number, isWhole: boolean): ListView<Entry> {
  const author = (text: string): string => (isWhole ? text : describeAuthor(text));
  const image = (name: string): string => (isWhole ? name : displayImage(name));
  return {
    typeName: '*service.revisionContext',
    table: '{{.Revision}}\t{{.Current}}\t{{.CreatedSince}}\t{{.CreatedBy}}\t{{.Outcome}}\t{{.Image}}',
    quiet: '{{.Revision}}',
    raw: 'revision: {{.Revision}}\ncurrent: {{.Current}}\ncreated: {{.CreatedSince}}\nby: {{.CreatedBy}}\noutcome: {{.Outcome}}\nimage: {{.Image}}\n',
    quietRaw: 'revision: {{.Revision}}',
    columns: {
      Revision: { header: 'REVISION', value: ({ revision }) => String(revision.number) },
      Current: { header: 'CURRENT', value: ({ isCurrent }) => (isCurrent ? '*' : '') },
      CreatedSince: { header: 'CREATED', value: ({ revision }) => ago(revision.createdAtMs, nowMs) },
      CreatedBy: { header: 'BY', value: ({ revision }) => author(revision.createdBy) },
      Outcome: { header: 'OUTCOME', value: ({ revision }) => REVISION_OUTCOMES[revision.outcome] },
      Image: { header: 'IMAGE', value: ({ revision }) => image(revision.spec?.task?.container?.image ?? '') },
    },
  };
}
