import { SwarmError } from '#common/errors.ts';
import { StackSpec } from '#gen/swarm/v1/objects.ts';
import type { ServiceSpec } from '#gen/swarm/v1/specs.ts';
import { type DeployStackResponse, StackAction, type StackChange } from '#gen/swarm/v1/stacks.ts';
import {
  type ConvertedStack,
  declaredName,
  NAMESPACE_LABEL,
  placeText,
  toStack,
  withoutSecretContents,
  writeYaml,
} from '../../../compose/index.ts';
import { CliError } from '../../cli-errors.ts';
import type { CommandImplementation, Invocation } from '../../command.ts';
import { printLine, printWarning } from '../../context.ts';
import { registryAuthOf } from '../../registry-auth.ts';
import { whenNothingLeaves } from '../shared/when-nothing-leaves.ts';
import { inOwnWords, readProject } from './compose-project.ts';
import { printPlan } from './print-plan.ts';
import {
  COMPOSE_FILE,
  DETACH_DEPLOY,
  DRY_RUN,
  ENV_FILE,
  PROFILE,
  PRUNE,
  QUIET,
  RESOLVE_IMAGE,
  WITH_REGISTRY_AUTH,
} from './stack-flags.ts';
import { waitForServices } from './wait-for-services.ts';

export const stackDeploy: CommandImplementation = {
  flags: [COMPOSE_FILE, DETACH_DEPLOY, DRY_RUN, ENV_FILE, PROFILE, PRUNE, QUIET, RESOLVE_IMAGE, WITH_REGISTRY_AUTH],
  examples: [
    'swarm stack deploy --compose-file compose.yml vote',
    'swarm stack deploy -c compose.yml -c production.yml --prune vote',
    'swarm stack deploy -c compose.yml --dry-run vote',
  ],
  argumentKind: 'stack',
  run: deploy,
};

async function deploy(invocation: Invocation): Promise<void> {
  const { context, flags, arguments: names } = invocation;
  const project = await readProject(invocation, { stack: names[0], interpolates: true });
  const name = names[0] ?? declaredName(project);
  if (name === undefined || name === '')
    throw new CliError('the stack has no name', {
      hint: 'give it: swarm stack deploy -c FILE NAME, or name: in the file',
    });
  const converted = await inOwnWords(() => toStack(project, name));
  for (const warning of converted.warnings) printWarning(context, warning);
  const services = flags.isSet(WITH_REGISTRY_AUTH)
    ? await withLogins(invocation, converted.services)
    : converted.services;
  const spec = StackSpec.create({
    name,
    labels: { [NAMESPACE_LABEL]: name },
    compose: writeYaml(withoutSecretContents(project.root)),
  });
  const dryRun = flags.isSet(DRY_RUN);
  const request = {
    ...requestOf(converted),
    services,
    spec,
    dryRun,
    prune: flags.isSet(PRUNE),
    resolveImage: flags.value(RESOLVE_IMAGE) ?? 'always',
  };
  const answer = await withPlaces(converted, () =>
    whenNothingLeaves(context, flags.isSet(QUIET), async () => (await context.api()).stacks.deployStack(request)),
  );
  for (const warning of answer.warnings) printWarning(context, warning);
  if (dryRun) {
    printPlan(context, name, answer.changes);
    return;
  }
  const isQuiet = flags.isSet(QUIET);
  if (!isQuiet) for (const change of answer.changes) printChange(invocation, change);
  if (flags.isSet(DETACH_DEPLOY)) return;
  await waitForServices(context, changedServices(answer), isQuiet);
}

function requestOf({
  networks,
  secrets,
  configs,
  volumes,
}: ConvertedStack): Pick<ConvertedStack, 'networks' | 'secrets' | 'configs' | 'volumes'> {
  return { networks, secrets, configs, volumes };
}

/** What managers refuse has a place in the file, too: where the service, network, secret or config is declared. */
async function withPlaces<T>({ places }: ConvertedStack, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (thrown) {
    if (!(thrown instanceof SwarmError)) throw thrown;
    const place = places.get(/^[a-z]+\[[^\]]*\]/.exec(thrown.field ?? '')?.[0] ?? '');
    if (place === undefined) throw thrown;
    const { code, reason, field, limit, hint, message } = thrown;
    const placed = `${placeText(place)}: ${message}`;
    throw new SwarmError({ code, reason, field, limit, hint, message: placed, cause: thrown });
  }
}

async function withLogins({ context }: Invocation, services: readonly ServiceSpec[]): Promise<readonly ServiceSpec[]> {
  const logins: ServiceSpec[] = [];
  for (const spec of services) {
    const container = spec.task?.container;
    if (spec.task === undefined || container === undefined) continue;
    const registryAuth = await registryAuthOf(container.image, context);
    logins.push({ ...spec, task: { ...spec.task, container: { ...container, registryAuth } } });
  }
  return logins;
}

const VERBS: Readonly<Record<StackAction, string>> = {
  [StackAction.UNSPECIFIED]: '',
  [StackAction.CREATE]: 'Creating',
  [StackAction.UPDATE]: 'Updating',
  [StackAction.REMOVE]: 'Removing',
  [StackAction.KEEP]: '',
};

function printChange({ context }: Invocation, { action, kind, name }: StackChange): void {
  const verb = VERBS[action];
  if (verb !== '') printLine(context, `${verb} ${kind} ${name}`);
}

/** Names of services that are not as they were: nothing else is waited for. */
function changedServices({ changes }: DeployStackResponse): readonly string[] {
  const isChanged = ({ kind, action }: StackChange): boolean =>
    kind === 'service' && (action === StackAction.CREATE || action === StackAction.UPDATE);
  return changes.filter(isChanged).map(({ name }) => name);
}
