/** Placeholders in hostname, environment and mounts: `{{.Task.Slot}}` and the like, as in Swarm. Pure. */
import type { TaskAssignment } from '#agent/tasks/index.ts';
import { invalidField } from '#common/errors.ts';

export interface TemplateContext {
  readonly values: ReadonlyMap<string, string>;
  readonly serviceLabels: Readonly<Record<string, string>>;
}

/** `service.slot.task`, for global services `service.node.task`; its own name for a container of `swarm run`. */
export function taskName(assignment: TaskAssignment): string {
  const { task, spec, node } = assignment;
  if (task.oneOff !== undefined) return task.oneOff.name;
  return `${spec.name}.${task.slot > 0 ? task.slot : node.id}.${task.id}`;
}

export function templateContext(assignment: TaskAssignment, architecture: string): TemplateContext {
  const { task, spec, node } = assignment;
  return {
    values: new Map([
      ['.Service.ID', task.serviceId],
      ['.Service.Name', spec.name],
      ['.Node.ID', node.id],
      ['.Node.Hostname', node.hostname],
      ['.Node.Platform.OS', 'linux'],
      ['.Node.Platform.Architecture', architecture],
      ['.Task.ID', task.id],
      ['.Task.Name', taskName(assignment)],
      ['.Task.Slot', task.slot > 0 ? String(task.slot) : node.id],
    ]),
    serviceLabels: spec.labels,
  };
}

const PLACEHOLDER = /\{\{-?\s*(.*?)\s*-?\}\}/gs;
const LABEL = /^\.Service\.Labels\.([A-Za-z0-9_]+)$/;
const INDEXED_LABEL = /^index\s+\.Service\.Labels\s+"([^"\\]*)"$/;

/** Replaces every placeholder. Throws `bad-field` for one that does not exist. A label that is not set is empty. */
export function expandTemplate(field: string, text: string, context: TemplateContext): string {
  if (!text.includes('{{')) return text;
  return text.replace(PLACEHOLDER, (_whole, expression: string) => {
    const value = context.values.get(expression);
    if (value !== undefined) return value;
    const label = LABEL.exec(expression)?.[1] ?? INDEXED_LABEL.exec(expression)?.[1];
    if (label !== undefined) return context.serviceLabels[label] ?? '';
    throw invalidField(
      field,
      `${field}: unknown placeholder {{${expression}}}`,
      `use one of ${[...context.values.keys()].join(', ')}, or {{index .Service.Labels "name"}}`,
    );
  });
}
