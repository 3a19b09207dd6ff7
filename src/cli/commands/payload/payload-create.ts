import { SecretSpec } from '#gen/swarm/v1/objects.ts';
import type { CommandImplementation, Invocation } from '../../command.ts';
import { printLine } from '../../context.ts';
import { type AnyFlag, type Flag, listFlag, refusedFlag, stringFlag } from '../../flags.ts';
import { type KeyValue, label, toRecord } from '../../values/key-values.ts';
import { readPayload } from './payload-data.ts';
import { CONFIGS, type PayloadKind, SECRETS } from './payload-kind.ts';

export const TEMPLATE_DRIVER = stringFlag({
  name: 'template-driver',
  usage: 'Template driver',
  completions: ['golang'],
});

function labelFlag(kind: PayloadKind): Flag<KeyValue> {
  return listFlag({ name: 'label', short: 'l', usage: `${kind.title} labels`, parse: label });
}

const DRIVER: AnyFlag = refusedFlag(
  'driver',
  true,
  { because: 'secrets are kept by the swarm itself', hint: 'give what it holds: a file, or - for standard input' },
  'd',
);

function createCommand(
  kind: PayloadKind,
  more: readonly AnyFlag[],
  examples: readonly string[],
): CommandImplementation {
  const labels = labelFlag(kind);
  return {
    flags: [...more, labels, TEMPLATE_DRIVER],
    examples,
    run: async ({ context, flags, arguments: [name = '', path = ''] }: Invocation): Promise<void> => {
      const data = await readPayload(kind, path, context);
      const spec = SecretSpec.create({
        name,
        labels: toRecord(flags.list(labels)),
        templateDriver: flags.value(TEMPLATE_DRIVER) ?? '',
      });
      const { id } = await kind.create(await context.api(), spec, data);
      printLine(context, id);
    },
  };
}

export const secretCreate = createCommand(
  SECRETS,
  [DRIVER],
  [
    'swarm secret create db-password ./password.txt',
    'printf %s "$PASSWORD" | swarm secret create db-password -',
    'swarm secret create --template-driver golang db-url ./url.tmpl',
  ],
);

export const configCreate = createCommand(
  CONFIGS,
  [],
  [
    'swarm config create nginx.conf ./nginx.conf',
    'swarm config create --label team=web --template-driver golang app.conf ./app.conf.tmpl',
  ],
);
