import { type Stack, StackState } from '#gen/swarm/v1/objects.ts';
import type { CommandImplementation, Invocation } from '../../command.ts';
import { formatList, type ListView } from '../../format/list-format.ts';
import { naturalOrder } from '../../format/texts.ts';
import { LIST_FORMAT, OUTPUT, wantsDocument } from '../shared/format-flags.ts';

export const stackLs: CommandImplementation = {
  flags: [LIST_FORMAT, OUTPUT],
  examples: ['swarm stack ls', "swarm stack ls --format '{{.Name}}: {{.Services}}'"],
  run: listStacks,
};

async function listStacks({ context, flags }: Invocation): Promise<void> {
  const api = await context.api();
  const stacks: Stack[] = [];
  for await (const page of api.stacks.listStacks({})) stacks.push(...page.stacks);
  const sorted = stacks.toSorted((a, b) => naturalOrder(a.spec?.name ?? '', b.spec?.name ?? ''));
  context.stdout.write(
    formatList(STACK_VIEW, sorted, {
      format: flags.value(LIST_FORMAT),
      quiet: false,
      asArray: wantsDocument(flags, LIST_FORMAT),
    }),
  );
}

const STACK_VIEW: ListView<Stack> = {
  typeName: '*formatter.stackContext',
  table: '{{.Name}}\t{{.Services}}\t{{.State}}',
  quiet: '{{.Name}}',
  raw: 'name: {{.Name}}\nservices: {{.Services}}\nstate: {{.State}}\n',
  quietRaw: 'name: {{.Name}}',
  columns: {
    Name: { header: 'NAME', value: ({ spec }) => spec?.name ?? '' },
    Services: { header: 'SERVICES', value: ({ serviceIds }) => String(serviceIds.length) },
    State: { header: 'STATE', value: stateText },
  },
};

function stateText({ state, message }: Stack): string {
  const word = state === StackState.REMOVING ? 'removing' : 'deployed';
  return message === '' ? word : `${word}, waits for ${message}`;
}
