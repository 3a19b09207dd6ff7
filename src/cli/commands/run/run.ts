/** `swarm run`: one container on this node, on networks of the swarm. */
import { SwarmError } from '#common/errors.ts';
import { newId } from '#common/ids.ts';
import { parseImageReference, withDefaultTag } from '#common/image-reference.ts';
import { systemRandom } from '#common/system/random.ts';
import type { RunContainerRequest } from '#gen/swarm/v1/containers.ts';
import type { SwarmApi } from '../../api.ts';
import { CliError, EXIT_FAILURE } from '../../cli-errors.ts';
import type { CommandImplementation, Invocation } from '../../command.ts';
import { type CliContext, printLine, printWarning } from '../../context.ts';
import type { FlagValues } from '../../flags.ts';
import { imageWithTag } from '../../image-argument.ts';
import { mayBeMadeAgain } from '../../progress/passing-errors.ts';
import { progressLines } from '../../progress/progress-lines.ts';
import { registryAuthOf } from '../../registry-auth.ts';
import { daemonMessage } from '../../report-error.ts';
import { pullReference } from '../image/image-pull.ts';
import { isNotFound } from '../shared/each.ts';
import { readEnvironment } from '../shared/environment.ts';
import { withFreeName } from '../shared/free-name.ts';
import { pause } from '../shared/pause.ts';
import { EXIT_RUN_FAILED, followRun, untilStarted } from './follow-run.ts';
import { DETACH, ENV, ENV_FILE, NAME, PULL, QUIET, RM, RUN_FLAGS } from './run-flags.ts';
import { runSpec } from './run-spec.ts';

/** While managers change places a call is made again, with the same id, for this long. */
const RETRY_MS = 15_000;
const RETRY_DELAY_MS = 300;

export const run: CommandImplementation = {
  flags: RUN_FLAGS,
  examples: [
    'swarm run --rm --network back app/db-tools pg_dump --host db shop',
    'swarm run -d --name relay --network name=back,alias=smtp --restart no app/relay',
    'swarm run --rm --network back -v /srv/backup:/backup -e LEVEL=9 app/backup /backup',
  ],
  argumentKind: 'image',
  run: runInSwarm,
};

/** The exit code is that of the container; 125 where it is our own failure. */
async function runInSwarm(invocation: Invocation): Promise<number> {
  try {
    return await runContainer(invocation);
  } catch (thrown) {
    if (thrown instanceof SwarmError)
      throw new CliError(daemonMessage(thrown), { hint: thrown.hint, exitCode: EXIT_RUN_FAILED });
    if (thrown instanceof CliError && thrown.exitCode === EXIT_FAILURE)
      throw new CliError(thrown.message, { hint: thrown.hint, exitCode: EXIT_RUN_FAILED });
    throw thrown;
  }
}

async function runContainer({ context, flags, arguments: [imageText = '', ...args] }: Invocation): Promise<number> {
  const image = imageWithTag(imageText);
  const env = await readEnvironment(context, flags.list(ENV_FILE), flags.list(ENV));
  const given = flags.value(NAME);
  const request = (name: string, registryAuth: string): Partial<RunContainerRequest> => ({
    spec: runSpec({ flags, image, args, env, name, registryAuth }),
    autoRemove: flags.isSet(RM),
  });
  request(given ?? '', ''); // flags that contradict each other are said before anything is pulled
  const registryAuth = await registryAuthOf(image, context);
  const api = await context.api();
  await makePresent(context, api, image, flags);
  const id = newId(systemRandom);
  const create = async (name: string): Promise<string> => {
    await created(context, api, { id, ...request(name, registryAuth) });
    return name;
  };
  const name = given === undefined ? await withFreeName(create) : await create(given);
  const container = { context, api, id, name };
  if (!flags.isSet(DETACH)) return followRun(container, flags.isSet(RM));
  const started = await untilStarted(container);
  if (started) printLine(context, id);
  return 0;
}

/** The node has the image before a container is asked for: what it takes shows here, and what is wrong with it too. */
async function makePresent(context: CliContext, api: SwarmApi, image: string, flags: FlagValues): Promise<void> {
  const policy = flags.value(PULL) ?? 'missing';
  if (policy !== 'always' && (await isPresent(api, image))) return;
  if (policy === 'never')
    throw new CliError(`Unable to find image '${image}' locally`, {
      hint: 'leave --pull=never out, or bring it here: swarm image pull, swarm image load',
    });
  const parsed = parseImageReference(image);
  if (!parsed.ok) return; // the daemon says why
  const isQuiet = flags.isSet(QUIET);
  if (!isQuiet && policy === 'missing') printWarning(context, `Unable to find image '${image}' locally`);
  await pullReference(context, withDefaultTag(parsed.value), {
    platform: '',
    lines: isQuiet ? undefined : progressLines(context.stderr, context),
  });
}

async function isPresent(api: SwarmApi, reference: string): Promise<boolean> {
  try {
    await api.images.inspectImage({ reference });
    return true;
  } catch (thrown) {
    if (isNotFound(thrown)) return false;
    // A daemon without images of its own has nothing to pull to.
    if (thrown instanceof SwarmError && thrown.code === 'unimplemented') return true;
    throw thrown;
  }
}

/** A call that was not answered is made again: the id says that it is the same one. */
async function created(context: CliContext, api: SwarmApi, request: Partial<RunContainerRequest>): Promise<void> {
  const { clock } = context;
  const deadlineMs = clock.monotonic() + RETRY_MS;
  for (;;) {
    try {
      await api.containers.runContainer(request);
      return;
    } catch (thrown) {
      const passes = thrown instanceof SwarmError && mayBeMadeAgain(thrown);
      if (!passes || clock.monotonic() >= deadlineMs) throw thrown;
    }
    await pause(context, RETRY_DELAY_MS);
  }
}
