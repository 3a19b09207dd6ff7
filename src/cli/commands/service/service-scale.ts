import type { Service } from '#gen/swarm/v1/objects.ts';
import type { ServiceSpec } from '#gen/swarm/v1/specs.ts';
import { CliError } from '../../cli-errors.ts';
import type { CommandImplementation, Invocation } from '../../command.ts';
import { printLine, printWarning } from '../../context.ts';
import { waitForService } from '../../progress/wait-for-service.ts';
import { daemonMessage } from '../../report-error.ts';
import { unsigned } from '../../values/scalars.ts';
import { collectFailures } from '../shared/each.ts';
import { changeService } from './change-service.ts';
import { withCompletions } from './job-flags.ts';
import { DETACH } from './service-flags.ts';

export const serviceScale: CommandImplementation = {
  flags: [DETACH],
  examples: ['swarm service scale web=5', 'swarm service scale web=5 worker=0'],
  argumentKind: 'service',
  run: scaleServices,
};

interface Target {
  readonly reference: string;
  readonly replicas: string;
}

interface Scaled {
  readonly reference: string;
  readonly service: Service;
}

async function scaleServices(invocation: Invocation): Promise<void> {
  const { context, flags } = invocation;
  const targets = invocation.arguments.map((text) => targetOf(text, invocation.path));
  const failures = collectFailures();
  const scaled: Scaled[] = [];
  for (const target of targets)
    await failures.attempt(
      async () => {
        scaled.push({ reference: target.reference, service: await scale(invocation, target) });
      },
      (error) => `${target.reference}: ${daemonMessage(error)}`,
    );
  if (!flags.isSet(DETACH))
    for (const { reference, service } of scaled)
      await failures.attempt(
        async () =>
          waitForService({
            context,
            serviceId: service.id,
            reference,
            knownStatus: service.updateStatus,
            isQuiet: false,
          }),
        (error) => `${reference}: ${daemonMessage(error)}`,
      );
  failures.report();
}

function targetOf(text: string, path: string): Target {
  const at = text.indexOf('=');
  if (at > 0 && at < text.length - 1) return { reference: text.slice(0, at), replicas: text.slice(at + 1) };
  throw new CliError(
    `invalid scale specifier '${text}'.\nSee '${path} --help'.\n\nUsage:  ${path} SERVICE=REPLICAS [SERVICE=REPLICAS...]\n\nScale one or multiple replicated services`,
  );
}

async function scale({ context }: Invocation, { reference, replicas }: Target): Promise<Service> {
  let count: number;
  try {
    count = unsigned(replicas);
  } catch (thrown) {
    throw new CliError(`${reference}: invalid replicas value ${replicas}: ${(thrown as Error).message}`);
  }
  const api = await context.api();
  const { before, answer } = await changeService(api, reference, async ({ spec }) => {
    const mode = scaledMode(spec, count);
    if (mode === undefined)
      throw new CliError(`${reference}: scale can only be used with replicated or replicated-job mode`);
    return { spec: { ...spec, mode }, queryRegistry: false };
  });
  for (const warning of answer.warnings) printWarning(context, warning);
  printLine(context, `${reference} scaled to ${count}`);
  return answer.service ?? before;
}

/** Undefined for services whose number of tasks follows from the nodes. A job has so many completions. */
function scaledMode({ mode }: ServiceSpec, count: number): ServiceSpec['mode'] {
  if (mode?.kind === 'replicated') return { kind: 'replicated', value: { ...mode.value, replicas: count } };
  if (mode?.kind !== 'replicatedJob') return undefined;
  return { kind: 'replicatedJob', value: withCompletions(mode.value, count) };
}
