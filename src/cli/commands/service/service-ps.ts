import type { ListTasksRequest, TaskView } from '#gen/swarm/v1/control.ts';
import type { SwarmApi } from '../../api.ts';
import type { CommandImplementation, Invocation } from '../../command.ts';
import { printWarning } from '../../context.ts';
import { collectFailures, isNotFound } from '../shared/each.ts';
import { groupFilters } from '../shared/filters.ts';
import {
  FILTER,
  NO_RESOLVE,
  NO_TRUNC,
  OUTPUT,
  QUIET_TASK_IDS,
  TASK_FORMAT,
  wantsDocument,
} from '../shared/format-flags.ts';
import { formatTasks } from '../shared/task-list.ts';
import { waitingText } from './pretty-dependencies.ts';

export const TASK_LIST_FLAGS = [FILTER, TASK_FORMAT, OUTPUT, NO_RESOLVE, NO_TRUNC, QUIET_TASK_IDS];

const FILTERS = ['desired-state', 'id', 'label', 'name', 'node'] as const;

export const servicePs: CommandImplementation = {
  flags: TASK_LIST_FLAGS,
  examples: [
    'swarm service ps web',
    'swarm service ps --no-trunc --filter desired-state=running web',
    "swarm service ps --format '{{.Name}} {{.CurrentState}}' web",
  ],
  argumentKind: 'service',
  run: listTasksOfServices,
};

async function listTasksOfServices(invocation: Invocation): Promise<void> {
  const { context, arguments: references } = invocation;
  const api = await context.api();
  const serviceIds: string[] = [];
  const failures = collectFailures();
  for (const reference of references)
    await failures.attempt(
      async () => {
        const { service } = await api.control.getService({ reference });
        if (service === undefined || serviceIds.includes(service.id)) return;
        serviceIds.push(service.id);
        const waiting = waitingText(service);
        if (waiting !== undefined) printWarning(context, waiting);
      },
      (error) => (isNotFound(error) ? `no such service: ${reference}` : `Error response from daemon: ${error.message}`),
    );
  if (serviceIds.length > 0) await printTasks(invocation, { serviceIds });
  failures.report();
}

/** Prints the tasks of the selection that the filters of the call let through. */
export async function printTasks(
  { context, flags }: Pick<Invocation, 'context' | 'flags'>,
  selection: Pick<Partial<ListTasksRequest>, 'serviceIds' | 'nodeIds'>,
): Promise<void> {
  const api = await context.api();
  const filters = groupFilters(flags.list(FILTER), FILTERS);
  const nodeIds = filters.node.length === 0 ? (selection.nodeIds ?? []) : await nodeIdsOf(api, filters.node);
  const tasks: TaskView[] = [];
  const request = {
    ...selection,
    nodeIds,
    names: filters.name,
    idPrefixes: filters.id,
    desiredStates: filters['desired-state'],
    labels: filters.label,
  };
  for await (const page of api.control.listTasks(request)) tasks.push(...page.tasks);
  printTaskViews({ context, flags }, tasks);
}

export function printTaskViews(
  { context, flags }: Pick<Invocation, 'context' | 'flags'>,
  tasks: readonly TaskView[],
): void {
  const quiet = flags.isSet(QUIET_TASK_IDS);
  context.stdout.write(
    formatTasks(tasks, {
      format: flags.value(TASK_FORMAT),
      quiet,
      asArray: wantsDocument(flags, TASK_FORMAT, QUIET_TASK_IDS),
      truncates: !quiet && !flags.isSet(NO_TRUNC),
      resolves: !flags.isSet(NO_RESOLVE),
      nowMs: context.clock.now(),
    }),
  );
}

async function nodeIdsOf(api: SwarmApi, references: readonly string[]): Promise<readonly string[]> {
  const nodes = await Promise.all(references.map((reference) => api.control.getNode({ reference })));
  return nodes.map(({ node }) => node?.id ?? '');
}
