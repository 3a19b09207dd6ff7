/**
 * The secrets and configs that this node's tasks need, in memory and nowhere else: after a restart the agent gets them
 * again from a manager. Tasks that have to start before that wait.
 */
import type { TaskAssignment } from '#agent/tasks/index.ts';
import { SwarmError } from '#common/errors.ts';
import type { AssignmentChange } from '#gen/swarm/v1/dispatcher.ts';
import type { FileTarget, ServiceSpec } from '#gen/swarm/v1/specs.ts';

export type PayloadWord = 'secret' | 'config';

/** What one version holds. */
export interface Payload {
  readonly data: Uint8Array;
  /** "golang": a template; empty: taken as it is. */
  readonly templateDriver: string;
}

/** How a task's spec refers to one. */
export interface PayloadReference {
  readonly word: PayloadWord;
  readonly id: string;
  readonly name: string;
  readonly number: number;
  readonly file: FileTarget | undefined;
  /** Name of an environment variable; empty for none. */
  readonly env: string;
}

/** Secrets first, each in the order of the spec. */
export function payloadReferences(spec: ServiceSpec): readonly PayloadReference[] {
  const container = spec.task?.container;
  if (container === undefined) return [];
  return [
    ...container.secrets.map(({ secretId, secretName, number, file, env }) => {
      return { word: 'secret' as const, id: secretId, name: secretName, number, file, env };
    }),
    ...container.configs.map(({ configId, configName, number, file, env }) => {
      return { word: 'config' as const, id: configId, name: configName, number, file, env };
    }),
  ];
}

function keyOf(word: PayloadWord, id: string, number: number): string {
  return `${word}/${id}/${number}`;
}

export class PayloadStore {
  readonly #payloads = new Map<string, Payload>();
  /** A whole set has come since the start: what is not here does not exist. */
  #isComplete = false;
  readonly #waiting = new Set<() => void>();

  /** Takes in one whole step of assignments, of which only secrets and configs matter here. */
  apply({ complete, changes }: { readonly complete: boolean; readonly changes: readonly AssignmentChange[] }): void {
    if (complete) {
      this.#payloads.clear();
      this.#isComplete = true;
    }
    for (const { item, remove } of changes) {
      if (item?.kind === 'secretVersion')
        this.#put(keyOf('secret', item.value.secretId, item.value.number), item.value, remove);
      else if (item?.kind === 'configVersion')
        this.#put(keyOf('config', item.value.configId, item.value.number), item.value, remove);
    }
    for (const look of [...this.#waiting]) look();
  }

  get(reference: PayloadReference): Payload | undefined {
    return this.#payloads.get(keyOf(reference.word, reference.id, reference.number));
  }

  /**
   * Resolves when all that the task refers to is here; until then `progress` says what is waited for. Rejects with
   * `unknown-object` when a manager has said everything and something is not among it, and when the signal aborts.
   */
  async available({ spec }: TaskAssignment, progress: (message: string) => void, signal: AbortSignal): Promise<void> {
    const references = payloadReferences(spec);
    const missing = (): PayloadReference | undefined => references.find((one) => this.get(one) === undefined);
    const first = missing();
    if (first === undefined) return;
    if (this.#isComplete) throw gone(first);
    progress(`waiting for ${nameOf(first)}: no manager could be asked for it since the agent was restarted`);
    await new Promise<void>((resolve, reject) => {
      const finish = (settle: () => void): void => {
        this.#waiting.delete(look);
        signal.removeEventListener('abort', look);
        settle();
      };
      const look = (): void => {
        const still = missing();
        if (still === undefined) finish(resolve);
        else if (signal.aborted)
          finish(() =>
            reject(new SwarmError({ code: 'cancelled', reason: 'cancelled', message: 'the operation was cancelled' })),
          );
        else if (this.#isComplete) finish(() => reject(gone(still)));
      };
      this.#waiting.add(look);
      signal.addEventListener('abort', look, { once: true });
      look();
    });
  }

  #put(key: string, { data, templateDriver }: Payload, remove: boolean): void {
    if (remove) this.#payloads.delete(key);
    else this.#payloads.set(key, { data, templateDriver });
  }
}

export function nameOf({ word, name, id, number }: PayloadReference): string {
  return `${word} ${name === '' ? id : name} (version ${number})`;
}

function gone(reference: PayloadReference): SwarmError {
  const { word, name } = reference;
  return new SwarmError({
    code: 'not-found',
    reason: 'unknown-object',
    field: word,
    message: `${nameOf(reference)} does not exist any more`,
    hint: `create it again and refer to it anew: swarm service update --${word}-rm ${name} --${word}-add ${name} SERVICE`,
  });
}
