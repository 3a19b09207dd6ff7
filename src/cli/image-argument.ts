import { familiarName, parseImageReference, withDefaultTag } from '#common/image-reference.ts';
import { CliError } from './cli-errors.ts';

/** The image as services keep it: `busybox` becomes `busybox:latest`. Throws a CliError for what is no reference. */
export function imageWithTag(text: string): string {
  const parsed = parseImageReference(text);
  if (!parsed.ok) throw new CliError(parsed.error.message, { hint: parsed.error.hint });
  return familiarName(withDefaultTag(parsed.value));
}
