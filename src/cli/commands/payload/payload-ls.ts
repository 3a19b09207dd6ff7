import type { CommandImplementation, Invocation } from '../../command.ts';
import { formatList, type ListView } from '../../format/list-format.ts';
import { ago, naturalOrder } from '../../format/texts.ts';
import { groupFilters } from '../shared/filters.ts';
import { FILTER, LIST_FORMAT, OUTPUT, QUIET_IDS, wantsDocument } from '../shared/format-flags.ts';
import { CONFIGS, type Payload, type PayloadKind, SECRETS } from './payload-kind.ts';

const FILTERS = ['id', 'label', 'name'] as const;

function listCommand(kind: PayloadKind, examples: readonly string[]): CommandImplementation {
  return {
    flags: [FILTER, LIST_FORMAT, OUTPUT, QUIET_IDS],
    examples,
    run: async ({ context, flags }: Invocation): Promise<void> => {
      const filters = groupFilters(flags.list(FILTER), FILTERS);
      const found = await kind.list(await context.api(), {
        names: filters.name,
        idPrefixes: filters.id,
        labels: filters.label,
      });
      const sorted = found.toSorted((a, b) => naturalOrder(a.spec?.name ?? '', b.spec?.name ?? ''));
      context.stdout.write(
        formatList(viewOf(kind, context.clock.now()), sorted, {
          format: flags.value(LIST_FORMAT),
          quiet: flags.isSet(QUIET_IDS),
          asArray: wantsDocument(flags, LIST_FORMAT, QUIET_IDS),
        }),
      );
    },
  };
}

function viewOf(kind: PayloadKind, nowMs: number): ListView<Payload> {
  const isSecret = kind.word === 'secret';
  return {
    typeName: `*${kind.word}.${kind.word}Context`,
    table: `{{.ID}}\t{{.Name}}${isSecret ? '\t{{.Driver}}' : ''}\t{{.CreatedAt}}\t{{.UpdatedAt}}`,
    quiet: '{{.ID}}',
    raw: `id: {{.ID}}\nname: {{.Name}}\ncreated_at: {{.CreatedAt}}\nupdated_at: {{.UpdatedAt}}\n`,
    quietRaw: 'id: {{.ID}}',
    methods: { Label: ({ spec }, name) => (Object.hasOwn(spec?.labels ?? {}, name) ? (spec?.labels[name] ?? '') : '') },
    columns: {
      ID: { header: 'ID', value: ({ id }) => id },
      Name: { header: 'NAME', value: ({ spec }) => spec?.name ?? '' },
      ...(isSecret ? { Driver: { header: 'DRIVER', value: () => '' } } : {}),
      CreatedAt: { header: 'CREATED', value: ({ createdAtMs }) => ago(createdAtMs, nowMs) },
      UpdatedAt: { header: 'UPDATED', value: ({ updatedAtMs }) => ago(updatedAtMs, nowMs) },
      Labels: { header: 'LABELS', value: ({ spec }) => labelsText(spec?.labels ?? {}) },
    },
  };
}

function labelsText(labels: Readonly<Record<string, string>>): string {
  return Object.entries(labels)
    .map(([key, value]) => `${key}=${value}`)
    .toSorted()
    .join(',');
}

export const secretLs = listCommand(SECRETS, [
  'swarm secret ls',
  "swarm secret ls --filter label=team=web --format '{{.Name}} {{.UpdatedAt}}'",
]);

export const configLs = listCommand(CONFIGS, ['swarm config ls', 'swarm config ls --quiet --filter name=nginx']);
