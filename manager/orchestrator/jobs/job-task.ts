/** What a task of a job looks like when it is made. */
import { type Task, TaskState } from '#gen/swarm/v1/objects.ts';
import { makeTask, type NextTask } from '../slot-tasks.ts';

export type NextJobTask = Omit<NextTask, 'id' | 'rollout'> & { readonly iteration: number };

/**
 * Its id follows from its place: the run, the slot or node, and the task before it. So a task that was asked for twice,
 * because nobody knew what became of the first request, is made once.
 */
export function makeJobTask(next: NextJobTask, nowMs: number): Task {
  const { service, iteration, slot, nodeId, after } = next;
  const id = idOf([service.id, iteration, slot, nodeId, after?.id ?? ''].join('/'));
  const task = makeTask({ ...next, id, rollout: undefined }, nowMs);
  const desiredState = task.desiredState === TaskState.RUNNING ? TaskState.COMPLETE : task.desiredState;
  return { ...task, desiredState, jobIteration: iteration };
}

const ID_LENGTH = 25;
/** 36 ** 25: one more than the largest id. */
const IDS = 36n ** BigInt(ID_LENGTH);

/** 128 bits of the text in the form of an id: four mixes of it that begin differently. */
function idOf(text: string): string {
  let number = 0n;
  for (const seed of [0x9e3779b9, 0x85ebca6b, 0xc2b2ae35, 0x27d4eb2f])
    number = (number << 32n) | BigInt(mix(text, seed));
  return (number % IDS).toString(36).padStart(ID_LENGTH, '0');
}

/** 32 bits (the mixing steps of MurmurHash3). */
function mix(text: string, seed: number): number {
  let hash = seed;
  for (let i = 0; i < text.length; i++) {
    let word = Math.imul(text.charCodeAt(i), 0xcc9e2d51);
    word = (word << 15) | (word >>> 17);
    hash ^= Math.imul(word, 0x1b873593);
    hash = (hash << 13) | (hash >>> 19);
    hash = (Math.imul(hash, 5) + 0xe6546b64) | 0;
  }
  hash ^= text.length;
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}
