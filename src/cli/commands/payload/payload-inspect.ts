import { printTime } from '#common/template/print-value.ts';
import { CONFIG, payloadShape, SECRET } from '../../../docker-shape/payloads.ts';
import type { CommandImplementation, Invocation } from '../../command.ts';
import { type AnyFlag, valueFlag } from '../../flags.ts';
import { unsigned } from '../../values/scalars.ts';
import { INSPECT_FORMAT, OUTPUT, PRETTY, wantsDocument } from '../shared/format-flags.ts';
import { inspect } from '../shared/inspect.ts';
import { CONFIGS, type PayloadDetails, type PayloadKind, SECRETS } from './payload-kind.ts';

/** Not Docker's. */
const VERSION = valueFlag({
  name: 'version',
  type: 'uint',
  usage: 'Show what this version holds (default: the newest)',
  parse: unsigned,
});

function inspectCommand(
  kind: PayloadKind,
  pretty: (details: PayloadDetails) => string,
  more: readonly AnyFlag[],
  examples: readonly string[],
): CommandImplementation {
  return {
    flags: [INSPECT_FORMAT, OUTPUT, PRETTY, ...more],
    examples,
    argumentKind: kind.word,
    run: async ({ context, flags, arguments: references }: Invocation): Promise<void> => {
      wantsDocument(flags, INSPECT_FORMAT, PRETTY);
      const api = await context.api();
      await inspect<PayloadDetails>({
        context,
        references,
        // Docker's page wins over a format here.
        format: flags.isSet(PRETTY) ? undefined : flags.value(INSPECT_FORMAT),
        isPretty: flags.isSet(PRETTY),
        hasJsonNames: true,
        find: (reference) => kind.get(api, reference, flags.value(VERSION) ?? 0),
        toGo: ({ payload, data }) => ({
          type: kind.word === 'secret' ? SECRET : CONFIG,
          data: payloadShape(payload, data),
        }),
        pretty,
      });
    },
  };
}

/** Docker's pages, with our versions and users at the end. */
function prettySecret(details: PayloadDetails): string {
  const { payload } = details;
  return [
    `ID:              ${payload.id}`,
    `Name:              ${payload.spec?.name ?? ''}`,
    ...labelLines(details),
    'Driver:            ',
    `Created at:        ${time(payload.createdAtMs)}`,
    `Updated at:        ${time(payload.updatedAtMs)}`,
    ...useLines(details),
  ].join('\n');
}

function prettyConfig(details: PayloadDetails): string {
  const { payload, data } = details;
  return [
    `ID:\t\t\t${payload.id}`,
    `Name:\t\t\t${payload.spec?.name ?? ''}`,
    ...labelLines(details),
    `Created at:            \t${time(payload.createdAtMs)}`,
    `Updated at:            \t${time(payload.updatedAtMs)}`,
    ...useLines(details),
    'Data:',
    Buffer.from(data ?? []).toString('utf8'),
  ].join('\n');
}

/** As Docker's pages have it. */
function time(ms: number): string {
  return printTime(ms).toLowerCase();
}

function labelLines({ payload }: PayloadDetails): readonly string[] {
  const entries = Object.entries(payload.spec?.labels ?? {}).toSorted(([a], [b]) => (a < b ? -1 : 1));
  if (entries.length === 0) return [];
  return ['Labels:', ...entries.map(([key, value]) => ` - ${key}${value === '' ? '' : `=${value}`}`)];
}

function useLines({ payload, users }: PayloadDetails): readonly string[] {
  return [
    `Versions:        ${payload.versions.map(({ number }) => number).join(', ')}`,
    ...(users.length === 0 ? [] : ['Used by:']),
    ...users.map(
      ({ serviceName, numbers, follows }) =>
        ` - ${serviceName}: version ${numbers.join(', ')}${follows ? ', follows the newest' : ''}`,
    ),
  ];
}

export const secretInspect = inspectCommand(
  SECRETS,
  prettySecret,
  [],
  [
    'swarm secret inspect db-password',
    'swarm secret inspect --pretty db-password',
    "swarm secret inspect --format '{{.Spec.Name}} {{len .Versions}}' db-password",
  ],
);

export const configInspect = inspectCommand(
  CONFIGS,
  prettyConfig,
  [VERSION],
  ['swarm config inspect nginx.conf', '# with what it holds\nswarm config inspect --pretty --version 2 nginx.conf'],
);
