/** When a deployment asks registries what the images of its services are. */
import { invalidField } from '#common/errors.ts';
import { Placement, type ServiceSpec } from '#gen/swarm/v1/specs.ts';
import type { StoreView } from '#manager/store/index.ts';
import { type ImagePinner, pinImage } from './image-pins.ts';
import { STACK_IMAGE_LABEL } from './stack-members.ts';

export type ResolveImage = 'always' | 'changed' | 'never';

export function resolveImageOf(text: string): ResolveImage {
  if (text === '' || text === 'always') return 'always';
  if (text === 'changed' || text === 'never') return text;
  throw invalidField(
    'resolve-image',
    `resolve-image: ${JSON.stringify(text)} is not known`,
    'use always, changed or never',
  );
}

/** Registries that are asked at once. */
const ASKED_AT_ONCE = 8;

export interface PinnedServices {
  readonly services: readonly ServiceSpec[];
  readonly warnings: readonly string[];
}

/** An image that is named as before, and need not or cannot be asked for, stays the one that the tasks have. */
export async function pinServices(
  view: StoreView,
  services: readonly ServiceSpec[],
  when: ResolveImage,
  images: ImagePinner,
): Promise<PinnedServices> {
  const pinned: ServiceSpec[] = [];
  const warnings: string[] = [];
  for (let at = 0; at < services.length; at += ASKED_AT_ONCE) {
    const answers = await Promise.all(
      services.slice(at, at + ASKED_AT_ONCE).map((spec) => pinService(view, spec, when, images)),
    );
    for (const answer of answers) {
      pinned.push(answer.spec);
      warnings.push(...answer.warnings);
    }
  }
  return { services: pinned, warnings };
}

async function pinService(
  view: StoreView,
  declared: ServiceSpec,
  when: ResolveImage,
  images: ImagePinner,
): Promise<{ readonly spec: ServiceSpec; readonly warnings: readonly string[] }> {
  const current = view.serviceByName(declared.name)?.spec;
  const spec = withForceUpdate(declared, current);
  const image = spec.task?.container?.image;
  const isSame = image !== undefined && current?.labels[STACK_IMAGE_LABEL] === image;
  const kept = isSame ? withImageOf(spec, current) : spec;
  if (image === undefined || image === '' || when === 'never' || (when === 'changed' && isSame))
    return { spec: kept, warnings: [] };
  const { spec: pinned, warnings } = await pinImage(spec, images);
  return warnings.length > 0 && isSame ? { spec: kept, warnings } : { spec: pinned, warnings };
}

function withImageOf(spec: ServiceSpec, current: ServiceSpec | undefined): ServiceSpec {
  const before = current?.task?.container?.image;
  if (spec.task?.container === undefined || before === undefined) return spec;
  const platforms = current?.task?.placement?.platforms ?? [];
  const placement =
    platforms.length === 0 ? spec.task.placement : Placement.create({ ...spec.task.placement, platforms });
  return { ...spec, task: { ...spec.task, container: { ...spec.task.container, image: before }, placement } };
}

/** A file cannot ask for it, so a deployment leaves it as it is. */
function withForceUpdate(spec: ServiceSpec, current: ServiceSpec | undefined): ServiceSpec {
  const forceUpdate = current?.task?.forceUpdate ?? 0;
  return spec.task === undefined || forceUpdate === 0 ? spec : { ...spec, task: { ...spec.task, forceUpdate } };
}
