import { BOOL } from '#common/template/go-types.ts';
import { DEFAULT_SOCKET_PATH } from '../../../client/socket-path.ts';
import type { CommandImplementation, Invocation } from '../../command.ts';
import { boolFlag } from '../../flags.ts';
import { formatList, type ListView } from '../../format/list-format.ts';
import { expiryText } from '../client/expiry-text.ts';
import { LIST_FORMAT, OUTPUT, wantsDocument } from '../shared/format-flags.ts';
import { type KnownContext, knownContexts } from './known-contexts.ts';

const QUIET = boolFlag({ name: 'quiet', short: 'q', usage: 'Only show context names' });

export const contextLs: CommandImplementation = {
  flags: [LIST_FORMAT, OUTPUT, QUIET],
  examples: ['swarm context ls', "swarm context ls --format '{{.Name}} {{.Expires}}'"],
  run: listContexts,
};

async function listContexts({ context, flags }: Invocation): Promise<void> {
  const contexts = await knownContexts(context);
  context.stdout.write(
    formatList(viewAt(context.clock.now()), contexts, {
      format: flags.value(LIST_FORMAT),
      quiet: flags.isSet(QUIET),
      asArray: wantsDocument(flags, LIST_FORMAT, QUIET),
    }),
  );
}

function viewAt(nowMs: number): ListView<KnownContext> {
  return {
    typeName: '*formatter.clientContextContext',
    table: '{{.Name}}{{if .Current}} *{{end}}\t{{.Role}}\t{{.Endpoint}}\t{{.Expires}}\t{{.Error}}',
    quiet: '{{.Name}}',
    raw: 'name: {{.Name}}\nrole: {{.Role}}\nendpoint: {{.Endpoint}}\n',
    quietRaw: 'name: {{.Name}}',
    columns: {
      Name: { header: 'NAME', value: ({ name }) => name },
      Current: { value: ({ isCurrent }) => isCurrent, type: BOOL },
      Role: { header: 'ROLE', value: ({ bundle }) => bundle?.facts.role ?? '' },
      Endpoint: { header: 'ENDPOINT', value: endpointOf },
      Expires: {
        header: 'EXPIRES',
        value: ({ notAfterMs }) => (notAfterMs === undefined ? '' : expiryText(notAfterMs, nowMs)),
      },
      Error: { header: 'ERROR', value: ({ error }) => error },
      ClusterID: { header: 'CLUSTER ID', value: ({ bundle }) => bundle?.facts.clusterId ?? '' },
      Client: { header: 'CLIENT', value: ({ bundle }) => bundle?.facts.clientName ?? '' },
    },
  };
}

function endpointOf({ name, bundle, error }: KnownContext): string {
  if (bundle !== undefined) return bundle.facts.addresses.join(',');
  return name === 'default' && error === '' ? `unix://${DEFAULT_SOCKET_PATH}` : '';
}
