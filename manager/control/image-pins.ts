/** Pinning a service's image: every node then runs the same bytes, whatever happens to the tag. */
import { SwarmError } from '#common/errors.ts';
import { isPinned, parseImageReference, pinDigest } from '#common/image-reference.ts';
import { Placement, type Platform, type ServiceSpec } from '#gen/swarm/v1/specs.ts';

/** Asks registries; given by the assembly. */
export interface ImagePinner {
  /**
   * What the reference stands for now; undefined when it is known to this node only.
   * @throws SwarmError when the registry refuses or does not answer.
   */
  resolve(
    image: string,
    registryAuth: string,
  ): Promise<{ readonly digest: string; readonly platforms: readonly Platform[] } | undefined>;
}

/** A registry that does not answer is a warning: nodes that have the image can still run it. */
export async function pinImage(
  spec: ServiceSpec,
  images: ImagePinner,
): Promise<{ spec: ServiceSpec; warnings: readonly string[] }> {
  const container = spec.task?.container;
  if (spec.task === undefined || container === undefined) return { spec, warnings: [] };
  const reference = parseImageReference(container.image);
  if (!reference.ok) throw reference.error;
  if (isPinned(reference.value)) return { spec, warnings: [] };
  try {
    const resolved = await images.resolve(container.image, container.registryAuth);
    if (resolved === undefined) return { spec, warnings: [] };
    const image = pinDigest(reference.value, resolved.digest);
    const placement = Placement.create({ ...spec.task.placement, platforms: resolved.platforms });
    const task = { ...spec.task, container: { ...container, image }, placement };
    return { spec: { ...spec, task }, warnings: [] };
  } catch (thrown) {
    const error = SwarmError.from(thrown);
    return {
      spec,
      warnings: [
        `image ${container.image} could not be accessed on a registry to record its digest (${error.message}). ` +
          'Each node will access it independently, possibly leading to different nodes running different versions of the image.',
      ],
    };
  }
}
