import { SwarmError } from '#common/errors.ts';
import { CliError } from '../../cli-errors.ts';
import type { CommandImplementation, Invocation } from '../../command.ts';
import { printLine } from '../../context.ts';
import { type FlagValues, listFlag } from '../../flags.ts';
import { label, toRecord } from '../../values/key-values.ts';
import { TEMPLATE_DRIVER } from './payload-create.ts';
import { readPayload } from './payload-data.ts';
import { CONFIGS, type Payload, type PayloadKind, type PayloadSpec, SECRETS } from './payload-kind.ts';

/** The daemon itself writes to an object while services are led to its newest version: a lost race is run again. */
const ATTEMPTS = 5;

/** Docker has no such commands: there the name has to change, and every service with it. */
function updateCommand(kind: PayloadKind, examples: readonly string[]): CommandImplementation {
  const LABEL_ADD = listFlag({
    name: 'label-add',
    usage: `Add or update a ${kind.word} label ("key=value")`,
    parse: label,
  });
  const LABEL_RM = listFlag({ name: 'label-rm', usage: `Remove a ${kind.word} label if exists` });
  const changed = ({ spec: before }: Payload, flags: FlagValues): PayloadSpec => {
    if (before === undefined) throw new CliError(`the daemon did not say what the ${kind.word} is`);
    const removed = new Set(flags.list(LABEL_RM));
    const kept = Object.entries(before.labels).filter(([key]) => !removed.has(key));
    return {
      ...before,
      labels: { ...Object.fromEntries(kept), ...toRecord(flags.list(LABEL_ADD)) },
      templateDriver: flags.value(TEMPLATE_DRIVER) ?? before.templateDriver,
    };
  };
  return {
    flags: [LABEL_ADD, LABEL_RM, TEMPLATE_DRIVER],
    examples,
    argumentKind: kind.word,
    run: async ({ context, flags, arguments: [reference = '', path] }: Invocation): Promise<void> => {
      if (path === undefined && !flags.anyGiven(LABEL_ADD, LABEL_RM))
        throw new CliError('nothing to change was given', {
          hint: 'name the file that holds the new version, or use --label-add or --label-rm',
        });
      const data = path === undefined ? undefined : await readPayload(kind, path, context);
      const api = await context.api();
      for (let attempt = 1; ; attempt++)
        try {
          const { payload: before } = await kind.get(api, reference, 0);
          const { payload, following } = await kind.update(api, before, changed(before, flags), data);
          printLine(context, reference);
          const number = payload.versions.at(-1)?.number ?? 0;
          const isNew = number !== before.versions.at(-1)?.number;
          if (data !== undefined && !isNew)
            context.stderr.write(`version ${number} holds the same already: no new version was made\n`);
          if (isNew)
            context.stderr.write(
              following.length === 0
                ? `version ${number} was made; no service follows it\n`
                : `version ${number} was made; services that follow it are updated: ${following.join(', ')}\n`,
            );
          return;
        } catch (thrown) {
          const isLost = thrown instanceof SwarmError && thrown.reason === 'out-of-sequence';
          if (!isLost || attempt >= ATTEMPTS) throw thrown;
        }
    },
  };
}

export const secretUpdate = updateCommand(SECRETS, [
  '# a new version; services that follow the secret are updated\nswarm secret update db-password ./new-password.txt',
  'swarm secret update --label-add rotated=2026-11 db-password',
]);

export const configUpdate = updateCommand(CONFIGS, [
  '# a new version; services that follow the config are updated\nswarm config update nginx.conf ./nginx.conf',
  'swarm config update --label-rm draft nginx.conf',
]);
