/** The list of tasks that `service ps`, `node ps` and `task ls` print. */
import type { TaskView } from '#gen/swarm/v1/control.ts';
import { type Task, TaskState } from '#gen/swarm/v1/objects.ts';
import type { PortConfig } from '#gen/swarm/v1/specs.ts';
import { TASK_STATES } from '../../../docker-shape/from-objects.ts';
import { PORT_PROTOCOLS } from '../../../docker-shape/from-specs.ts';
import { formatList, type ListFormatOptions, type ListView } from '../../format/list-format.ts';
import { publishedHost } from '../../format/port-text.ts';
import { nodeLossText, taskProblem } from '../../format/task-problem.ts';
import { ago, capitalised, displayImage, ellipsis, naturalOrder, shortId } from '../../format/texts.ts';

/** Columns of an error that is cut. */
const ERROR_COLUMNS = 30;

export interface TaskListOptions extends ListFormatOptions {
  readonly truncates: boolean;
  /** Show names rather than ids of services and nodes. */
  readonly resolves: boolean;
  readonly nowMs: number;
}

interface Row {
  readonly task: Task;
  readonly view: TaskView;
  /** With the mark of an earlier task of the same slot. */
  readonly name: string;
}

/** The text of the list: the newest task of every slot, and under it those it replaced. */
export function formatTasks(views: readonly TaskView[], options: TaskListOptions): string {
  const named = views
    .map((view) => ({ view, task: view.task as Task, name: taskName(view, options.resolves) }))
    .toSorted((a, b) => naturalOrder(a.name, b.name) || b.task.createdAtMs - a.task.createdAtMs);
  const indent = isPlainTable(options) ? ' \\_ ' : '';
  const rows = named.map((row, i) => ({
    ...row,
    name: row.name === named[i - 1]?.name ? indent + row.name : row.name,
  }));
  return formatList(taskView(options), rows, options);
}

/** Only tables show which task replaced which. */
function isPlainTable({ format, asArray }: TaskListOptions): boolean {
  return asArray !== true && (format === undefined || format === '' || format.startsWith('table'));
}

function taskName(view: TaskView, resolves: boolean): string {
  const task = view.task as Task;
  if (task.oneOff !== undefined) return task.oneOff.name;
  const service = resolves && view.serviceName !== '' ? view.serviceName : task.serviceId;
  return `${service}.${task.slot > 0 ? task.slot : task.nodeId}`;
}

function taskView(options: TaskListOptions): ListView<Row> {
  const { truncates, resolves, nowMs } = options;
  return {
    typeName: '*task.taskContext',
    table: '{{.ID}}\t{{.Name}}\t{{.Image}}\t{{.Node}}\t{{.DesiredState}}\t{{.CurrentState}}\t{{.Error}}\t{{.Ports}}',
    quiet: '{{.ID}}',
    raw: 'id: {{.ID}}\nname: {{.Name}}\nimage: {{.Image}}\nnode: {{.Node}}\ndesired_state: {{.DesiredState}}\ncurrent_state: {{.CurrentState}}\nerror: {{.Error}}\nports: {{.Ports}}\n',
    quietRaw: 'id: {{.ID}}',
    columns: {
      ID: { header: 'ID', value: ({ task }) => (truncates ? shortId(task.id) : task.id) },
      Name: { header: 'NAME', value: ({ name }) => name },
      Image: { header: 'IMAGE', value: ({ view }) => (truncates ? displayImage(view.image) : view.image) },
      Node: { header: 'NODE', value: ({ task, view }) => (resolves && view.nodeHostname) || task.nodeId },
      DesiredState: { header: 'DESIRED STATE', value: ({ task }) => capitalised(TASK_STATES[task.desiredState]) },
      CurrentState: { header: 'CURRENT STATE', value: ({ task }) => currentState(task, nowMs) },
      Error: { header: 'ERROR', value: (row) => errorText(row, truncates, nowMs) },
      Ports: { header: 'PORTS', value: ({ task }) => portsText(task) },
    },
  };
}

function currentState({ status, createdAtMs }: Task, nowMs: number): string {
  const state = capitalised(TASK_STATES[status?.state ?? TaskState.NEW]);
  return `${state} ${ago(status?.timestampMs || createdAtMs, nowMs).toLowerCase()}`;
}

/** Why it failed, waits, or is not ready; in full with the last line that it wrote. */
function errorText({ task, view }: Row, truncates: boolean, nowMs: number): string {
  const error = taskProblem(task, nowMs) || nodeLossText(view.nodeLoss, nowMs);
  if (error === '') return '';
  if (truncates) return `"${ellipsis(error, ERROR_COLUMNS)}"`;
  const last = task.status?.lastLog.at(-1);
  return last === undefined || error.includes(last) ? `"${error}"` : `"${error}; last line: ${last}"`;
}

function portsText({ status }: Task): string {
  const ports = status?.ports ?? [];
  const text = (port: PortConfig): string =>
    `${publishedHost(port)}:${port.publishedPort}->${port.targetPort}/${PORT_PROTOCOLS[port.protocol]}`;
  return ports.map(text).join(',');
}
