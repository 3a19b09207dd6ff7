/** What belongs to a stack, by what it is called and what it says of itself. */
import { SwarmError } from '#common/errors.ts';
import type { Stack } from '#gen/swarm/v1/objects.ts';

/** As `docker stack` has it, so that what other tools made for a stack is its own, too. */
export const STACK_LABEL = 'com.docker.stack.namespace';
/** The image as the file names it. */
export const STACK_IMAGE_LABEL = 'com.docker.stack.image';

interface Named {
  readonly id: string;
  readonly spec?: { readonly name: string; readonly labels: Readonly<Record<string, string>> } | undefined;
}

/** @throws SwarmError when an object of that name is not the stack's */
export function refuseForeign(kind: string, object: Named, stackName: string, members: readonly string[]): void {
  if (members.includes(object.id) || object.spec?.labels[STACK_LABEL] === stackName) return;
  const name = object.spec?.name ?? object.id;
  const owner = object.spec?.labels[STACK_LABEL];
  throw new SwarmError({
    code: 'exists',
    reason: 'duplicate-name',
    field: `${kind}s`,
    message: `${kind} ${name} exists and is not of stack ${stackName}${owner === undefined ? '' : ` but of ${owner}`}`,
    hint:
      kind === 'service'
        ? `choose another name, or remove it: swarm service rm ${name}`
        : `choose another name, remove it (swarm ${kind} rm ${name}), or use it as it is: external: true`,
  });
}

export function isBeingRemoved(name: string): SwarmError {
  return new SwarmError({
    code: 'precondition',
    reason: 'in-use',
    field: 'name',
    message: `stack ${name} is being removed`,
    hint: 'wait until it is gone: `swarm stack ls` shows it until then',
  });
}

export function leftBehind(kind: string, name: string): SwarmError {
  return new SwarmError({
    code: 'precondition',
    reason: 'in-use',
    field: `${kind}s`,
    message: `${kind} ${name} is being removed`,
    hint: 'wait until its tasks are gone',
  });
}

/**
 * A file declares many: a refusal says which one it is about, in words and as the beginning of its field
 * (`services[shop_web].hostname`).
 */
export function aboutMember<T>(kind: string, name: string, work: () => T): T {
  try {
    return work();
  } catch (thrown) {
    if (!(thrown instanceof SwarmError)) throw thrown;
    const { code, reason, field, limit, hint, message } = thrown;
    const who = `${kind} ${name}`;
    throw new SwarmError({
      code,
      reason,
      field: `${kind}s[${name}]${field === undefined ? '' : `.${field}`}`,
      limit,
      message: message.startsWith(`${who} `) ? message : `${who}: ${message}`,
      hint,
      cause: thrown,
    });
  }
}

/** Every id once. */
export function union(...lists: readonly (readonly string[])[]): readonly string[] {
  return [...new Set(lists.flat())];
}

export function without(list: readonly string[], taken: readonly string[]): readonly string[] {
  const away = new Set(taken);
  return list.filter((id) => !away.has(id));
}

export type MemberField = 'serviceIds' | 'networkIds' | 'secretIds' | 'configIds';

export const NO_MEMBERS: Pick<Stack, MemberField> = { serviceIds: [], networkIds: [], secretIds: [], configIds: [] };
