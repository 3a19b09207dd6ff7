/** `service rollout pause|resume|promote|abort`. */
import type { Service } from '#gen/swarm/v1/objects.ts';
import type { SwarmApi } from '../../api.ts';
import type { CommandImplementation } from '../../command.ts';
import { printLine } from '../../context.ts';
import { waitForService } from '../../progress/wait-for-service.ts';
import { DETACH, QUIET } from './service-flags.ts';

type Step = (api: SwarmApi, reference: string) => Promise<{ readonly service?: Service | undefined }>;

function rolloutStep(example: string, step: Step, options: { readonly waits: boolean }): CommandImplementation {
  return {
    flags: options.waits ? [DETACH, QUIET] : [],
    examples: [example],
    argumentKind: 'service',
    async run({ context, flags, arguments: [reference = ''] }) {
      const { service } = await step(await context.api(), reference);
      printLine(context, reference);
      if (service === undefined || !options.waits || flags.isSet(DETACH)) return;
      await waitForService({
        context,
        serviceId: service.id,
        reference,
        knownStatus: undefined,
        isQuiet: flags.isSet(QUIET),
        expectsRollback: true,
      });
    },
  };
}

export const rolloutPause = rolloutStep(
  'swarm service rollout pause web',
  async ({ rollouts }, reference) => rollouts.pauseRollout({ reference }),
  { waits: false },
);

export const rolloutResume = rolloutStep(
  'swarm service rollout resume web',
  async ({ rollouts }, reference) => rollouts.resumeRollout({ reference }),
  { waits: true },
);

export const rolloutPromote = rolloutStep(
  'swarm service rollout promote web',
  async ({ rollouts }, reference) => rollouts.promoteRollout({ reference }),
  { waits: true },
);

export const rolloutAbort = rolloutStep(
  'swarm service rollout abort --detach web',
  async ({ rollouts }, reference) => rollouts.abortRollout({ reference }),
  { waits: true },
);
