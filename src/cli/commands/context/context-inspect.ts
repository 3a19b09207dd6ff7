import { BOOL, STRING, STRINGS, struct, TIME } from '#common/template/go-types.ts';
import { DEFAULT_SOCKET_PATH } from '../../../client/socket-path.ts';
import type { CommandImplementation, Invocation } from '../../command.ts';
import { checkContextName, contextPaths, DEFAULT_CONTEXT } from '../../contexts/context-paths.ts';
import { contextDirectory, unknownContext } from '../../contexts/context-store.ts';
import { INSPECT_FORMAT, OUTPUT, wantsDocument } from '../shared/format-flags.ts';
import { inspect } from '../shared/inspect.ts';
import { currentName, type KnownContext, knownContexts } from './known-contexts.ts';

/** What a context says of itself; never its key. */
const CONTEXT = struct('starling.Context', {
  Name: STRING,
  Current: BOOL,
  Endpoints: STRINGS,
  'ClusterID?': STRING,
  'ClientID?': STRING,
  'ClientName?': STRING,
  'Role?': STRING,
  'ExpiresAt?': TIME,
  Renewable: BOOL,
  'Error?': STRING,
  'Path?': STRING,
});

export const contextInspect: CommandImplementation = {
  flags: [INSPECT_FORMAT, OUTPUT],
  examples: ['swarm context inspect', "swarm context inspect --format '{{.Endpoints}}' prod"],
  argumentKind: 'context',
  run: inspectContexts,
};

async function inspectContexts({ context, flags, arguments: given }: Invocation): Promise<void> {
  wantsDocument(flags, INSPECT_FORMAT);
  const known = await knownContexts(context);
  const paths = contextPaths(context.variables);
  await inspect<KnownContext>({
    context,
    references: given.length > 0 ? given : [await currentName(context)],
    format: flags.value(INSPECT_FORMAT),
    isPretty: false,
    find: async (name) => {
      const found = known.find((one) => one.name === checkContextName(name));
      if (found === undefined) throw unknownContext(name);
      return Promise.resolve(found);
    },
    toGo: ({ name, isCurrent, bundle, notAfterMs, error }) => ({
      type: CONTEXT,
      data: {
        Name: name,
        Current: isCurrent,
        Endpoints: bundle?.facts.addresses ?? (name === DEFAULT_CONTEXT ? [`unix://${DEFAULT_SOCKET_PATH}`] : []),
        ClusterID: bundle?.facts.clusterId ?? '',
        ClientID: bundle?.facts.clientId ?? '',
        ClientName: bundle?.facts.clientName ?? '',
        Role: bundle?.facts.role ?? '',
        ExpiresAt: notAfterMs ?? 0,
        Renewable: bundle !== undefined && !bundle.facts.fixed,
        Error: error,
        Path: name === DEFAULT_CONTEXT ? '' : contextDirectory(paths, name),
      },
    }),
  });
}
