import { declaredName, problemText, toStack, writeYaml } from '../../../compose/index.ts';
import type { CommandImplementation, Invocation } from '../../command.ts';
import { printWarning } from '../../context.ts';
import { inOwnWords, readProject } from './compose-project.ts';
import { COMPOSE_FILE, ENV_FILE, PROFILE, SKIP_INTERPOLATION } from './stack-flags.ts';

export const stackConfig: CommandImplementation = {
  flags: [COMPOSE_FILE, ENV_FILE, PROFILE, SKIP_INTERPOLATION],
  examples: ['swarm stack config --compose-file compose.yml', 'swarm stack config -c compose.yml -c production.yml'],
  run: printConfig,
};

/** The merged file. What cannot be deployed is said before anything is printed. */
async function printConfig(invocation: Invocation): Promise<void> {
  const { context, flags } = invocation;
  const interpolates = !flags.isSet(SKIP_INTERPOLATION);
  const project = await readProject(invocation, { stack: undefined, interpolates });
  // Variables may stand where numbers have to be.
  if (interpolates) await inOwnWords(() => toStack(project, declaredName(project) ?? 'stack'));
  else await inOwnWords(async () => project.problems.refuse());
  for (const problem of project.problems.warnings) printWarning(context, problemText(problem));
  context.stdout.write(writeYaml(project.root, !interpolates));
}
