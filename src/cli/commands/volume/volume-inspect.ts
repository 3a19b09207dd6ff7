import type { VolumeView } from '#gen/swarm/v1/volumes.ts';
import { volumeShape } from '../../../docker-shape/from-volumes.ts';
import { VOLUME } from '../../../docker-shape/volume-types.ts';
import type { SwarmApi } from '../../api.ts';
import type { CommandImplementation, Invocation } from '../../command.ts';
import { INSPECT_FORMAT, OUTPUT, PRETTY, wantsDocument } from '../shared/format-flags.ts';
import { inspect } from '../shared/inspect.ts';
import { prettyVolume } from './pretty-volume.ts';
import { NODE } from './volume-flags.ts';
import { ALL_NODES, namesOfServices } from './volume-nodes.ts';

export const volumeInspect: CommandImplementation = {
  flags: [INSPECT_FORMAT, NODE, OUTPUT, PRETTY],
  examples: [
    'swarm volume inspect data',
    'swarm volume inspect --node worker-1 --pretty data',
    "swarm volume inspect --format '{{.Status.Node}}: {{.Mountpoint}}' data",
  ],
  argumentKind: 'volume',
  run: inspectVolumes,
};

/** One of the volumes that a reference means. */
interface Found {
  readonly reference: string;
  readonly view: VolumeView | undefined;
}

async function inspectVolumes({ context, flags, arguments: references }: Invocation): Promise<void> {
  wantsDocument(flags, INSPECT_FORMAT, PRETTY);
  const api = await context.api();
  const nodes = flags.list(NODE).filter((node) => node !== ALL_NODES);
  const found = new Map<string, Found>();
  for (const reference of references)
    for (const one of await allOf(api, reference, nodes)) found.set(`${reference} ${one.view?.volume?.id ?? ''}`, one);
  const serviceNames = [...found.values()].some(({ view }) => (view?.volume?.claims.length ?? 0) > 0)
    ? await namesOfServices(api)
    : new Map<string, string>();
  await inspect<VolumeView>({
    context,
    references: [...found.keys()],
    format: flags.value(INSPECT_FORMAT),
    isPretty: flags.isSet(PRETTY),
    hasJsonNames: true,
    find: async (key) => found.get(key)?.view ?? (await refusalOf(api, found.get(key)?.reference ?? '', nodes)),
    toGo: (view) => ({ type: VOLUME, data: volumeShape(view, serviceNames) }),
    pretty: (view) => prettyVolume(view, serviceNames, context.clock.now()),
  });
}

/** At least one entry, so that a reference that means nothing is reported. */
async function allOf(api: SwarmApi, reference: string, nodes: readonly string[]): Promise<readonly Found[]> {
  const views: VolumeView[] = [];
  for (const node of nodes.length === 0 ? [''] : nodes)
    try {
      views.push(...(await api.volumes.getVolume({ reference, node })).volumes);
    } catch {
      // Asked for again where it is reported.
    }
  return views.length === 0 ? [{ reference, view: undefined }] : views.map((view) => ({ reference, view }));
}

async function refusalOf(api: SwarmApi, reference: string, nodes: readonly string[]): Promise<VolumeView> {
  const { volumes } = await api.volumes.getVolume({ reference, node: nodes[0] ?? '' });
  return volumes[0] as VolumeView;
}
