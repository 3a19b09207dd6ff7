/** Flags of `service create` and `service update` for secrets and configs. */
import type { ContainerSpec, FileTarget } from '#gen/swarm/v1/specs.ts';
import { CliError } from '../../cli-errors.ts';
import { type AnyFlag, type Flag, type FlagValues, listFlag } from '../../flags.ts';
import { configReference, secretReference } from '../../values/payload-references.ts';

const SECRET = listFlag({
  name: 'secret',
  type: 'secret',
  usage: 'Specify secrets to expose to the service',
  parse: secretReference,
  completions: 'secret',
});
const SECRET_ADD = listFlag({
  name: 'secret-add',
  type: 'secret',
  usage: 'Add or update a secret on a service',
  parse: secretReference,
  completions: 'secret',
});
const SECRET_RM = listFlag({ name: 'secret-rm', usage: 'Remove a secret', completions: 'secret' });
const CONFIG = listFlag({
  name: 'config',
  type: 'config',
  usage: 'Specify configurations to expose to the service',
  parse: configReference,
  completions: 'config',
});
const CONFIG_ADD = listFlag({
  name: 'config-add',
  type: 'config',
  usage: 'Add or update a config file on a service',
  parse: configReference,
  completions: 'config',
});
const CONFIG_RM = listFlag({ name: 'config-rm', usage: 'Remove a configuration file', completions: 'config' });

export const PAYLOAD_CREATE_FLAGS: readonly AnyFlag[] = [CONFIG, SECRET];
export const PAYLOAD_UPDATE_FLAGS: readonly AnyFlag[] = [CONFIG_ADD, CONFIG_RM, SECRET_ADD, SECRET_RM];

type Payloads = Pick<ContainerSpec, 'secrets' | 'configs'>;

/** Throws a CliError where two have the same target. */
export function payloadsOf(flags: FlagValues): Payloads {
  const secrets = flags.list(SECRET);
  const configs = flags.list(CONFIG);
  refuseSameTargets('secret', secrets, ({ secretName }) => secretName);
  refuseSameTargets('config', configs, ({ configName }) => configName);
  return { secrets, configs };
}

/** Removes by name, then adds; what has the same name and target as one there takes its place. */
export function changedPayloads(flags: FlagValues, before: ContainerSpec): Payloads {
  return {
    secrets: changed(before.secrets, flags, SECRET_ADD, SECRET_RM, ({ secretName, secretId }) => [
      secretName,
      secretId,
    ]),
    configs: changed(before.configs, flags, CONFIG_ADD, CONFIG_RM, ({ configName, configId }) => [
      configName,
      configId,
    ]),
  };
}

interface Placed {
  readonly file: FileTarget | undefined;
  readonly env: string;
}

function changed<T extends Placed>(
  before: readonly T[],
  flags: FlagValues,
  add: Flag<T>,
  remove: Flag<string>,
  namesOf: (reference: T) => readonly string[],
): readonly T[] {
  if (!flags.anyGiven(add, remove)) return before;
  const removed = flags.list(remove);
  const added = flags.list(add);
  const isSame = (one: T, other: T): boolean =>
    namesOf(one).some((name) => name !== '' && namesOf(other).includes(name)) &&
    one.file?.path === other.file?.path &&
    one.env === other.env;
  const kept = before.filter(
    (one) => !namesOf(one).some((name) => removed.includes(name)) && !added.some((other) => isSame(one, other)),
  );
  return [...kept, ...added];
}

function refuseSameTargets<T extends Placed>(
  word: string,
  references: readonly T[],
  nameOf: (reference: T) => string,
): void {
  const targets = new Set<string>();
  for (const reference of references) {
    const path = reference.file?.path;
    if (path === undefined) continue;
    if (targets.has(path)) throw new CliError(`duplicate ${word} target for ${nameOf(reference)} not allowed`);
    targets.add(path);
  }
}
