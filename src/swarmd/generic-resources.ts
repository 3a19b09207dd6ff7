/** What an operator says that the node has beside CPU and memory: `--node-generic-resource GPU=UUID1`, `SSD=3`. */
import { SwarmError } from '#common/errors.ts';
import { GenericResource } from '#gen/swarm/v1/specs.ts';

const FLAG = '--node-generic-resource';
const KIND = /^[A-Za-z0-9][A-Za-z0-9_.-]{0,62}$/;
const NAME = /^[^\s,=\0]{1,256}$/;
const COUNT_MAX = 1_000_000;
/** Together: every node's description is in the memory of all managers. */
const RESOURCES_MAX = 256;

/**
 * A number is so many that are all alike; anything else is the name of one. A kind is one or the other.
 * @throws SwarmError that names the flag, the value and the rule
 */
export function genericResources(texts: readonly string[]): readonly GenericResource[] {
  const resources = texts.flatMap((text) => text.split(',').map(parse));
  if (resources.length > RESOURCES_MAX)
    throw bad(`more than ${RESOURCES_MAX}`, 'give a number of those that are alike');
  const kinds = new Map<string, GenericResource[]>();
  for (const resource of resources) {
    const others = kinds.get(resource.kind) ?? [];
    for (const other of others) refuseBoth(resource, other);
    kinds.set(resource.kind, [...others, resource]);
  }
  return resources;
}

function parse(text: string): GenericResource {
  const at = text.indexOf('=');
  const kind = text.slice(0, Math.max(0, at)).trim();
  const value = text.slice(at + 1).trim();
  if (at < 0 || !KIND.test(kind) || !NAME.test(value))
    throw bad(`${JSON.stringify(text)} is not KIND=VALUE`, 'write GPU=NAME for each that has a name, or SSD=3');
  if (!/^\d+$/.test(value)) return GenericResource.create({ kind, value: { kind: 'name', value } });
  const count = Number(value);
  if (count < 1 || count > COUNT_MAX)
    throw bad(`${text}: ${value} is not between 1 and ${COUNT_MAX}`, 'leave out what the node has none of');
  return GenericResource.create({ kind, value: { kind: 'count', value: count } });
}

function refuseBoth(one: GenericResource, other: GenericResource): void {
  const { kind, value } = one;
  if (value?.kind !== other.value?.kind)
    throw bad(`${kind} has names and a number`, 'give each of a kind a name, or the number of all of them');
  if (value?.kind === 'count') throw bad(`${kind} is given twice`, 'give the number once');
  if (value?.value === other.value?.value) throw bad(`${kind}=${value?.value} is given twice`, 'names are unique');
}

function bad(message: string, hint: string): SwarmError {
  return new SwarmError({ code: 'invalid', reason: 'bad-flag', field: FLAG, message: `${FLAG}: ${message}`, hint });
}
