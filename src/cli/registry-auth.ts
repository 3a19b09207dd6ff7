import { SwarmError } from '#common/errors.ts';
import { parseImageReference } from '#common/image-reference.ts';
import { DockerConfig } from '#common/system/docker-config.ts';
import { encodeRegistryAuth } from '#common/system/registry-auth.ts';
import { CliError } from './cli-errors.ts';
import type { CliContext } from './context.ts';

/** The user's login for the image's registry in the form that services keep; empty without one. Throws a CliError. */
export async function registryAuthOf(image: string, context: CliContext): Promise<string> {
  const parsed = parseImageReference(image);
  if (!parsed.ok) return '';
  const { domain } = parsed.value;
  try {
    const config = await DockerConfig.load({ directory: context.configDirectory, environment: context.variables });
    const credential = await config.credential(domain);
    return credential === undefined ? '' : encodeRegistryAuth(credential, domain);
  } catch (thrown) {
    if (thrown instanceof SwarmError) throw new CliError(thrown.message, { hint: thrown.hint });
    throw thrown;
  }
}
