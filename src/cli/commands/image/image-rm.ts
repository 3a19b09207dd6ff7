import { imageId } from '../../../docker-shape/from-images.ts';
import { CliError } from '../../cli-errors.ts';
import type { CommandImplementation, Invocation } from '../../command.ts';
import { printLine, printWarning } from '../../context.ts';
import { boolFlag, refusedFlag } from '../../flags.ts';
import { collectFailures, isNotFound } from '../shared/each.ts';
import { CHANGE_TIMEOUT_MS } from './timeouts.ts';

const FORCE = boolFlag({ name: 'force', short: 'f', usage: 'Force removal of the image' });
const NO_PRUNE = refusedFlag('no-prune', false, {
  because: 'parents without a name go with the last image that is built on them',
  hint: 'give parents that are to stay a name: `swarm image tag`',
});
const PLATFORM = refusedFlag('platform', true, {
  because: 'an image here is of one platform',
  hint: 'leave it out',
});

export const imageRm: CommandImplementation = {
  flags: [FORCE, NO_PRUNE, PLATFORM],
  examples: [
    'swarm image rm web:1.0',
    'swarm image rm --force 4d5e6f',
    'swarm rmi $(swarm images -q -f dangling=true)',
  ],
  argumentKind: 'image',
  run: removeImages,
};

async function removeImages({ context, flags, arguments: references }: Invocation): Promise<void> {
  const api = await context.api();
  const force = flags.isSet(FORCE);
  const failures = collectFailures();
  let isHarmless = force;
  for (const reference of references)
    await failures.attempt(async () => {
      try {
        const { removal } = await api.images.removeImage({ reference, force }, { timeoutMs: CHANGE_TIMEOUT_MS });
        for (const name of removal?.untagged ?? []) printLine(context, `Untagged: ${name}`);
        for (const id of removal?.deleted ?? []) printLine(context, `Deleted: ${imageId(id)}`);
      } catch (thrown) {
        isHarmless &&= isNotFound(thrown);
        throw thrown;
      }
    });
  try {
    failures.report();
  } catch (thrown) {
    // With --force an image that is not there is what was asked for.
    if (!isHarmless || !(thrown instanceof CliError)) throw thrown;
    printWarning(context, thrown.message);
  }
}
