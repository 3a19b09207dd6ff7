import { describeAuthor } from '#common/author.ts';
import type { PayloadVersion } from '#gen/swarm/v1/objects.ts';
import type { CommandImplementation, Invocation } from '../../command.ts';
import { formatList, type ListView } from '../../format/list-format.ts';
import { ago } from '../../format/texts.ts';
import { LIST_FORMAT, OUTPUT, QUIET_IDS, wantsDocument } from '../shared/format-flags.ts';
import { CONFIGS, type PayloadKind, SECRETS } from './payload-kind.ts';

interface Row {
  readonly version: PayloadVersion;
  /** Names of services that have it. */
  readonly users: readonly string[];
}

/** Docker has no such commands. */
function versionsCommand(kind: PayloadKind, examples: readonly string[]): CommandImplementation {
  return {
    flags: [LIST_FORMAT, OUTPUT, QUIET_IDS],
    examples,
    argumentKind: kind.word,
    run: async ({ context, flags, arguments: [reference = ''] }: Invocation): Promise<void> => {
      const { payload, users } = await kind.get(await context.api(), reference, 0);
      const rows = payload.versions.toReversed().map((version): Row => {
        const using = users.filter(({ numbers }) => numbers.includes(version.number));
        return { version, users: using.map(({ serviceName }) => serviceName) };
      });
      context.stdout.write(
        formatList(viewAt(kind, context.clock.now()), rows, {
          format: flags.value(LIST_FORMAT),
          quiet: flags.isSet(QUIET_IDS),
          asArray: wantsDocument(flags, LIST_FORMAT, QUIET_IDS),
        }),
      );
    },
  };
}

function viewAt(kind: PayloadKind, nowMs: number): ListView<Row> {
  return {
    typeName: `*${kind.word}.versionContext`,
    table: '{{.Version}}\t{{.CreatedAt}}\t{{.CreatedBy}}\t{{.Size}}\t{{.UsedBy}}',
    quiet: '{{.Version}}',
    raw: 'version: {{.Version}}\ncreated_at: {{.CreatedAt}}\ncreated_by: {{.CreatedBy}}\nsize: {{.Size}}\nused_by: {{.UsedBy}}\n',
    quietRaw: 'version: {{.Version}}',
    methods: {},
    columns: {
      Version: { header: 'VERSION', value: ({ version }) => String(version.number) },
      CreatedAt: { header: 'CREATED', value: ({ version }) => ago(version.createdAtMs, nowMs) },
      CreatedBy: { header: 'BY', value: ({ version }) => describeAuthor(version.createdBy) },
      Size: { header: 'SIZE', value: ({ version }) => `${version.sizeBytes}B` },
      UsedBy: { header: 'USED BY', value: ({ users }) => users.join(', ') },
    },
  };
}

export const secretVersions = versionsCommand(SECRETS, ['swarm secret versions db-password']);
export const configVersions = versionsCommand(CONFIGS, ['swarm config versions --quiet nginx.conf']);
