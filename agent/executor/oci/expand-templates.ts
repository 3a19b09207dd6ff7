/** Placeholders in hostname, environment and mounts: `{{.Task.Slot}}` and the like, as in Swarm. Pure. */
import type { TaskAssignment } from '#agent/tasks/index.ts';
import { invalidField } from '#common/errors.ts';
import { fillPlaceholders, type PlaceholderValues } from '#common/template/placeholders.ts';
import { TemplateError } from '#common/template/template-error.ts';

/** `service.slot.task`, for global services `service.node.task`; its own name for a container of `swarm run`. */
export function taskName(assignment: TaskAssignment): string {
  const { task, spec, node } = assignment;
  if (task.oneOff !== undefined) return task.oneOff.name;
  return `${spec.name}.${task.slot > 0 ? task.slot : node.id}.${task.id}`;
}

export function placeholderValues(assignment: TaskAssignment, architecture: string): PlaceholderValues {
  const { task, spec, node } = assignment;
  return {
    service: { id: task.serviceId, name: spec.name, labels: spec.labels },
    node: { id: node.id, hostname: node.hostname, os: 'linux', architecture },
    task: { id: task.id, name: taskName(assignment), slot: task.slot > 0 ? String(task.slot) : node.id },
  };
}

/** Fills in every placeholder. Throws `bad-field` for a name or a label that there is not. */
export function expandTemplate(field: string, text: string, values: PlaceholderValues): string {
  try {
    return fillPlaceholders(text, values);
  } catch (error) {
    if (!(error instanceof TemplateError)) throw error;
    throw invalidField(
      field,
      `${field}: ${error.message}`,
      'use .Service.ID, .Service.Name, .Service.Labels, .Node.ID, .Node.Hostname, .Node.Platform.OS, .Node.Platform.Architecture, .Task.ID, .Task.Name, .Task.Slot, or {{index .Service.Labels "name"}} for a label that may be missing',
    );
  }
}
