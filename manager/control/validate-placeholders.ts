/** Placeholders (`{{.Task.Slot}}`) of a spec: looked at before any node fills them in. */
import { invalidField } from '#common/errors.ts';
import { placeholderProblem } from '#common/template/placeholders.ts';
import type { ContainerSpec } from '#gen/swarm/v1/specs.ts';

/** Whether a node will put something else in its place. */
export function hasPlaceholders(text: string): boolean {
  return text.includes('{{');
}

function validateText(field: string, text: string): void {
  const problem = placeholderProblem(text);
  if (problem !== undefined)
    throw invalidField(
      field,
      `${field}: ${problem}`,
      'use {{.Service.Name}}, {{.Service.ID}}, {{.Service.Labels}}, {{.Node.ID}}, {{.Node.Hostname}}, {{.Node.Platform.OS}}, {{.Task.ID}}, {{.Task.Name}} or {{.Task.Slot}}',
    );
}

/** Environment, host name and mounts have them. @throws SwarmError that says where and why */
export function validatePlaceholders({ env, hostname, mounts }: ContainerSpec): void {
  for (const entry of env) validateText('env', entry);
  validateText('hostname', hostname);
  mounts.forEach(({ source, target }, index) => {
    validateText(`mounts[${index}].source`, source);
    validateText(`mounts[${index}].target`, target);
  });
}
