/** Values of the flags that say where tasks may be. */
import { Affinity, GenericResource } from '#gen/swarm/v1/specs.ts';
import { FlagValueError } from '../cli-errors.ts';
import { csvFields } from './csv.ts';
import { keyValue } from './key-values.ts';
import { unsigned } from './scalars.ts';

/** The kind of generic resource that graphics cards are. */
const GPU = 'GPU';

/** `--affinity`: a service, or `service=db,topology=node.labels.zone,weight=50`. */
export function affinity(text: string): Affinity {
  return affinityOf(text, false);
}

/** `--anti-affinity`, in the same form. */
export function antiAffinity(text: string): Affinity {
  return affinityOf(text, true);
}

function affinityOf(text: string, anti: boolean): Affinity {
  let service = '';
  let topology = '';
  let weight = 0;
  for (const [place, field] of csvFields(text).entries()) {
    const { key: rawKey, value: rawValue } = keyValue(field);
    const key = rawKey.trim().toLowerCase();
    if (rawValue === undefined && place === 0) {
      service = field.trim();
      continue;
    }
    const value = rawValue?.trim() ?? '';
    if (value === '') throw new FlagValueError(`invalid field ${field}`, 'write SERVICE,topology=LABEL,weight=NUMBER');
    if (key === 'service') service = value;
    else if (key === 'topology') topology = value;
    else if (key === 'weight') weight = weightOf(value);
    else throw new FlagValueError(`invalid field key ${rawKey}`, 'use service, topology and weight');
  }
  if (service === '') throw new FlagValueError('service name/id is not specified');
  return Affinity.create({ service, anti, topology, weight });
}

function weightOf(text: string): number {
  const weight = unsigned(text);
  if (weight >= 1 && weight <= 100) return weight;
  throw new FlagValueError(`weight ${text} is not between 1 and 100`, 'leave it out for a rule that has to hold');
}

/** `KIND=NUMBER`; what nodes have by name is asked for by number, too. */
export function genericResource(text: string): GenericResource {
  const { key: kind, value } = keyValue(text);
  if (value === undefined || kind === '')
    throw new FlagValueError(`incorrect term ${text}, missing '=' or malformed expression`, 'write KIND=NUMBER');
  if (!/^\d+$/.test(value))
    throw new FlagValueError(
      `invalid generic-resource request \`${text}\`, Named Generic Resources is not supported for service create or update`,
      `write ${kind}=1: which of them it is, is chosen where the task runs`,
    );
  return GenericResource.create({ kind, value: { kind: 'count', value: unsigned(value) } });
}

/** `--gpus NUMBER`. */
export function gpus(text: string): GenericResource {
  if (text === 'all')
    throw new FlagValueError('all of them are not one number on every node', 'say how many: --gpus 1');
  return GenericResource.create({ kind: GPU, value: { kind: 'count', value: unsigned(text) } });
}
