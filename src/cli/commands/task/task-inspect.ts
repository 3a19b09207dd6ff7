import type { TaskView } from '#gen/swarm/v1/control.ts';
import type { Network } from '#gen/swarm/v1/objects.ts';
import { taskShape } from '../../../docker-shape/from-objects.ts';
import { TASK } from '../../../docker-shape/swarm-types.ts';
import type { SwarmApi } from '../../api.ts';
import type { CommandImplementation, Invocation } from '../../command.ts';
import { networksById } from '../../known-networks.ts';
import { INSPECT_FORMAT, OUTPUT, wantsDocument } from '../shared/format-flags.ts';
import { inspect } from '../shared/inspect.ts';
import { isOnWorker } from '../shared/on-worker.ts';

export const taskInspect: CommandImplementation = {
  flags: [INSPECT_FORMAT, OUTPUT],
  examples: ['swarm task inspect 4xn3jjkb8bz6', "swarm task inspect --format '{{.Status.Err}}' 4xn3jjkb8bz6"],
  argumentKind: 'task',
  run: inspectTasks,
};

interface Found {
  readonly view: TaskView;
  /** Those of the swarm by id, where the task has some. */
  readonly networks: ReadonlyMap<string, Network>;
}

async function inspectTasks({ context, flags, arguments: references }: Invocation): Promise<void> {
  wantsDocument(flags, INSPECT_FORMAT);
  const api = await context.api();
  let known: Promise<ReadonlyMap<string, Network>> | undefined;
  await inspect<Found>({
    context,
    references,
    format: flags.value(INSPECT_FORMAT),
    isPretty: false,
    find: async (reference) => {
      const { view, isManager } = await findTask(api, reference);
      const hasNetworks = isManager && (view.task?.networks.length ?? 0) > 0;
      return { view, networks: hasNetworks ? await (known ??= networksById(api)) : new Map() };
    },
    toGo: ({ view, networks }) => ({ type: TASK, data: taskShape(view, networks) }),
  });
}

/** A worker knows of its own containers, and of no networks. */
async function findTask(
  api: SwarmApi,
  reference: string,
): Promise<{ readonly view: TaskView; readonly isManager: boolean }> {
  try {
    return { view: (await api.control.getTask({ reference })).task as TaskView, isManager: true };
  } catch (thrown) {
    if (!isOnWorker(thrown)) throw thrown;
  }
  return { view: (await api.containers.getContainer({ reference })).container as TaskView, isManager: false };
}
