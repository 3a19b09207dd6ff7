/** How containers are checked: what their images say of it is kept with them, since an agent that comes back needs it. */
import { type CheckedContainer, DEFAULT_HEALTH_CONFIG, runCheck } from '#agent/health/index.ts';
import type { ContainerRuntime, ContainerView } from '#agent/runtime/index.ts';
import {
  type Check,
  type CheckOutcome,
  type HealthPlan,
  healthPlan,
  type ImageHealthcheck,
  type TaskAssignment,
} from '#agent/tasks/index.ts';
import type { HeldImage } from './task-images.ts';

/** In the container's record: what its image says of its health. */
const HEALTH_LABEL = 'health';

interface ImageHealth {
  readonly healthcheck: ImageHealthcheck;
  readonly shell: readonly string[];
}

/** Labels for the record of a container of the image. */
export function healthLabels({ config }: HeldImage): Readonly<Record<string, string>> {
  if (config.healthcheck === undefined) return {};
  const health: ImageHealth = { healthcheck: config.healthcheck, shell: config.shell ?? [] };
  return { [HEALTH_LABEL]: JSON.stringify(health) };
}

/** Undefined where nothing is checked. */
export function planOf({ task, spec }: TaskAssignment, view: ContainerView | undefined): HealthPlan | undefined {
  const container = spec.task?.container;
  // `swarm run` may run anything of an image: that what the image is for does not run then is no failure.
  if (task.oneOff !== undefined && container?.healthcheck === undefined) return healthPlan(container, undefined);
  const text = view?.record.labels[HEALTH_LABEL];
  // Written by `healthLabels`. A container of an earlier release has none, and goes on unchecked by its image.
  const image = text === undefined ? undefined : (JSON.parse(text) as ImageHealth);
  return healthPlan(container, image?.healthcheck, image?.shell);
}

/** Rejects for the signal alone. */
export function checkTask(
  runtime: ContainerRuntime,
  { task }: TaskAssignment,
  check: Check,
  timeoutMs: number,
  signal: AbortSignal,
): Promise<CheckOutcome> {
  const container: CheckedContainer = {
    exec: (request, aborted) => runtime.exec(task.id, request, aborted),
    networkNamespace: () => runtime.networkNamespace(task.id),
    addresses: task.networks.flatMap(({ addresses }) => addresses.map((address) => address.split('/', 1)[0] ?? '')),
  };
  return runCheck(container, check, timeoutMs, DEFAULT_HEALTH_CONFIG, signal);
}
