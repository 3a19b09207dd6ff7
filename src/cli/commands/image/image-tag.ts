import { parseImageReference } from '#common/image-reference.ts';
import { CliError } from '../../cli-errors.ts';
import type { CommandImplementation, Invocation } from '../../command.ts';
import { CHANGE_TIMEOUT_MS } from './timeouts.ts';

export const imageTag: CommandImplementation = {
  flags: [],
  examples: ['swarm image tag web:1.0 localhost:5000/team/web:1.0', 'swarm image tag 4d5e6f web:latest'],
  argumentKind: 'image',
  run: tagImage,
};

async function tagImage({ context, arguments: [source = '', target = ''] }: Invocation): Promise<void> {
  const parsed = parseImageReference(target);
  if (!parsed.ok) throw new CliError(`Error parsing reference: ${parsed.error.message}`, { hint: parsed.error.hint });
  if (parsed.value.digest !== undefined)
    throw new CliError('refusing to create a tag with a digest reference', { hint: 'write NAME or NAME:TAG' });
  const api = await context.api();
  await api.images.tagImage({ source, target }, { timeoutMs: CHANGE_TIMEOUT_MS });
}
