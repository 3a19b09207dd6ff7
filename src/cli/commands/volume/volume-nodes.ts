/** Nodes that a flag of volumes names, and waiting for what they do. */
import { NodeState, VolumeState } from '#gen/swarm/v1/objects.ts';
import type { VolumeView } from '#gen/swarm/v1/volumes.ts';
import type { SwarmApi } from '../../api.ts';
import { CliError } from '../../cli-errors.ts';
import type { CliContext } from '../../context.ts';
import { isNotFound } from '../shared/each.ts';
import { pause } from '../shared/pause.ts';

export const ALL_NODES = 'all';

/** A node makes or removes a volume in milliseconds; a plugin is given minutes. */
const WAIT_MS = 4 * 60_000;
const FIRST_LOOK_MS = 50;
const LOOK_EVERY_MS = 1_000;

/** Ids of the nodes that are there to do something. */
export async function readyNodes(api: SwarmApi): Promise<readonly string[]> {
  const ids: string[] = [];
  for await (const { nodes } of api.control.listNodes({}))
    for (const node of nodes) if (node.status?.state === NodeState.READY) ids.push(node.id);
  return ids;
}

export async function namesOfServices(api: SwarmApi): Promise<ReadonlyMap<string, string>> {
  const names = new Map<string, string>();
  for await (const { services } of api.control.listServices({}))
    for (const { service } of services) if (service !== undefined) names.set(service.id, service.spec?.name ?? '');
  return names;
}

/** Resolves when the node has made it. Throws why it could not. */
export async function waitUntilMade(context: CliContext, id: string): Promise<void> {
  await look(context, id, (view) => {
    const volume = view?.volume;
    if (volume === undefined) throw new CliError('the volume was removed while it was being made');
    if (volume.state === VolumeState.FAILED) throw failed(view, volume.message);
    return volume.state === VolumeState.READY;
  });
}

/** Resolves when the node has removed it. Throws why it could not. */
export async function waitUntilGone(context: CliContext, id: string): Promise<void> {
  await look(context, id, (view) => {
    const volume = view?.volume;
    if (volume === undefined) return true;
    if (!volume.pendingDelete) throw failed(view, volume.message || 'its node did not remove it');
    return false;
  });
}

function failed(view: VolumeView | undefined, message: string): CliError {
  return new CliError(`Error response from node ${view?.nodeHostname ?? ''}: ${message}`);
}

async function look(context: CliContext, id: string, isDone: (view: VolumeView | undefined) => boolean): Promise<void> {
  const api = await context.api();
  const startMs = context.clock.monotonic();
  for (let delayMs = FIRST_LOOK_MS; ; delayMs = Math.min(LOOK_EVERY_MS, delayMs * 2)) {
    if (isDone(await viewOf(api, id))) return;
    if (context.clock.monotonic() - startMs > WAIT_MS)
      throw new CliError('the node has not done it in time', {
        hint: 'see `swarm volume inspect`; it goes on by itself, and --detach does not wait',
      });
    await pause(context, delayMs);
  }
}

async function viewOf(api: SwarmApi, id: string): Promise<VolumeView | undefined> {
  try {
    return (await api.volumes.getVolume({ reference: id })).volumes[0];
  } catch (thrown) {
    if (isNotFound(thrown)) return undefined;
    throw thrown;
  }
}
