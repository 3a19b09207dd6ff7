import type { TaskView } from '#gen/swarm/v1/control.ts';
import { taskShape } from '../../../docker-shape/from-objects.ts';
import { TASK } from '../../../docker-shape/swarm-types.ts';
import type { CommandImplementation, Invocation } from '../../command.ts';
import { INSPECT_FORMAT, OUTPUT, wantsDocument } from '../shared/format-flags.ts';
import { inspect } from '../shared/inspect.ts';

export const taskInspect: CommandImplementation = {
  flags: [INSPECT_FORMAT, OUTPUT],
  examples: ['swarm task inspect 4xn3jjkb8bz6', "swarm task inspect --format '{{.Status.Err}}' 4xn3jjkb8bz6"],
  argumentKind: 'task',
  run: inspectTasks,
};

async function inspectTasks({ context, flags, arguments: references }: Invocation): Promise<void> {
  wantsDocument(flags, INSPECT_FORMAT);
  const api = await context.api();
  await inspect<TaskView>({
    context,
    references,
    format: flags.value(INSPECT_FORMAT),
    isPretty: false,
    find: async (reference) => (await api.control.getTask({ reference })).task as TaskView,
    toGo: (view) => ({ type: TASK, data: taskShape(view) }),
  });
}
