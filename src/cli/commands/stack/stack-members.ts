import { SwarmError } from '#common/errors.ts';
import type { SwarmApi } from '../../api.ts';
import { CliError } from '../../cli-errors.ts';

/** Services of the stack, with those on their way out. Throws a CliError in Docker's words when there is no such stack. */
export async function stackServiceIds(api: SwarmApi, name: string): Promise<readonly string[]> {
  try {
    const { stack } = await api.stacks.getStack({ reference: name });
    return [...(stack?.serviceIds ?? []), ...(stack?.leaving?.serviceIds ?? [])];
  } catch (thrown) {
    if (SwarmError.from(thrown).code === 'not-found') throw nothingFound(name);
    throw thrown;
  }
}

export function nothingFound(name: string): CliError {
  return new CliError(`nothing found in stack: ${name}`, { hint: 'see `swarm stack ls`' });
}
