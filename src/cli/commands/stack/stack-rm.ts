import type { Stack } from '#gen/swarm/v1/objects.ts';
import type { SwarmApi } from '../../api.ts';
import { CliError } from '../../cli-errors.ts';
import type { CommandImplementation, Invocation } from '../../command.ts';
import { type CliContext, printLine } from '../../context.ts';
import { collectFailures, isNotFound } from '../shared/each.ts';
import { pause } from '../shared/pause.ts';
import { DETACH_REMOVE, VOLUMES } from './stack-flags.ts';

export const stackRm: CommandImplementation = {
  flags: [DETACH_REMOVE, VOLUMES],
  examples: ['swarm stack rm vote', 'swarm stack rm --volumes vote', 'swarm stack rm --detach vote other'],
  argumentKind: 'stack',
  run: removeStacks,
};

const POLL_MS = 300;

async function removeStacks({ context, flags, arguments: names }: Invocation): Promise<void> {
  const api = await context.api();
  const failures = collectFailures();
  const removing: Stack[] = [];
  for (const name of names)
    await failures.attempt(
      async () => {
        const before = (await api.stacks.getStack({ reference: name })).stack;
        const members = before === undefined ? [] : await memberNames(api, before, flags.isSet(VOLUMES));
        const { stack } = await api.stacks.removeStack({ reference: name, volumes: flags.isSet(VOLUMES) });
        for (const line of members) printLine(context, `Removing ${line}`);
        if (stack !== undefined) removing.push(stack);
      },
      (error) =>
        isNotFound(error) ? `nothing found in stack: ${name}` : `Error response from daemon: ${error.message}`,
    );
  if (!flags.isSet(DETACH_REMOVE)) await waitUntilGone(context, removing);
  failures.report();
}

/** In the order in which they go, each kind by name. */
async function memberNames(api: SwarmApi, stack: Stack, volumes: boolean): Promise<readonly string[]> {
  const services: Named[] = [];
  for await (const page of api.control.listServices({}))
    for (const { service } of page.services) if (service !== undefined) services.push(service);
  const networks: Named[] = [];
  for await (const page of api.control.listNetworks({})) networks.push(...page.networks);
  const secrets: Named[] = [];
  if (stack.secretIds.length > 0) for await (const page of api.secrets.listSecrets({})) secrets.push(...page.secrets);
  const configs: Named[] = [];
  if (stack.configIds.length > 0) for await (const page of api.secrets.listConfigs({})) configs.push(...page.configs);
  return [
    ...named('service', stack.serviceIds, services),
    ...named('network', stack.networkIds, networks),
    ...named('secret', stack.secretIds, secrets),
    ...named('config', stack.configIds, configs),
    ...(volumes ? stack.volumeNames.toSorted().map((name) => `volume ${name}`) : []),
  ];
}

interface Named {
  readonly id: string;
  readonly spec?: { readonly name: string } | undefined;
}

function named(kind: string, ids: readonly string[], objects: readonly Named[]): readonly string[] {
  const own = new Set(ids);
  const names = objects.filter(({ id }) => own.has(id)).map(({ id, spec }) => spec?.name ?? id);
  return names.toSorted().map((name) => `${kind} ${name}`);
}

/** Until all of them are gone, or the user went on without waiting. */
async function waitUntilGone(context: CliContext, stacks: readonly Stack[]): Promise<void> {
  const api = await context.api();
  const interrupt = new AbortController();
  const release = context.onInterrupt(() => interrupt.abort());
  const told = new Map<string, string>();
  try {
    for (const { id } of stacks)
      while (!interrupt.signal.aborted) {
        const stack = await stackById(api, id);
        if (stack === undefined) break;
        if (stack.message !== '' && told.get(id) !== stack.message)
          printLine(context, `Stack ${stack.spec?.name ?? id} waits for ${stack.message}`);
        told.set(id, stack.message);
        await pause(context, POLL_MS, interrupt.signal);
      }
  } finally {
    release();
  }
  if (interrupt.signal.aborted)
    throw new CliError('Operation continuing in background.', { hint: '`swarm stack ls` shows what is left' });
}

async function stackById(api: SwarmApi, id: string): Promise<Stack | undefined> {
  try {
    const { stack } = await api.stacks.getStack({ reference: id });
    // A prefix of another's id is no longer this one.
    return stack?.id === id ? stack : undefined;
  } catch (thrown) {
    if (isNotFound(thrown)) return undefined;
    throw thrown;
  }
}
