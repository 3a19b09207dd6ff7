import { SwarmError } from '#common/errors.ts';
import { DockerConfig } from '#common/system/docker-config.ts';
import { encodeRegistryAuth } from '#common/system/registry-auth.ts';
import { CliError } from '../../cli-errors.ts';
import type { CliContext } from '../../context.ts';

/**
 * The user's logins at these registries, in the form that the daemon takes, by host; hosts without a login are left
 * out. With `all` in place of hosts, everything that Docker's configuration names. Throws a CliError.
 */
export async function registryLogins(
  context: CliContext,
  hosts: readonly string[] | 'all',
): Promise<Readonly<Record<string, string>>> {
  try {
    const config = await DockerConfig.load({ directory: context.configDirectory, environment: context.variables });
    const logins: Record<string, string> = {};
    for (const host of hosts === 'all' ? config.registries() : hosts) {
      const credential = await config.credential(host);
      if (credential !== undefined) logins[host] = encodeRegistryAuth(credential, host);
    }
    return logins;
  } catch (thrown) {
    if (thrown instanceof SwarmError) throw new CliError(thrown.message, { hint: thrown.hint });
    throw thrown;
  }
}
