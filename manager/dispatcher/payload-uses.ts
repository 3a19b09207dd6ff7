/**
 * Which versions of secrets and configs a node has been sent: those that a live task of its own refers to, each once,
 * taken back with the last such task.
 */
import { AssignmentChange } from '#gen/swarm/v1/dispatcher.ts';
import { ConfigVersion, type Revision, SecretVersion, type Task } from '#gen/swarm/v1/objects.ts';
import {
  hasPayloads,
  type PayloadData,
  type PayloadKind,
  type PayloadReference,
  payloadReferences,
} from '#manager/payloads/index.ts';
import type { StoreView } from '#manager/store/index.ts';

interface SentVersion {
  readonly kind: PayloadKind;
  readonly reference: PayloadReference;
  /** Ids. Invariant: never empty. */
  readonly tasks: Set<string>;
}

export class PayloadUses {
  readonly #sent = new Map<string, SentVersion>();
  /** Keys of what each task has. */
  readonly #tasks = new Map<string, readonly string[]>();

  clear(): void {
    this.#sent.clear();
    this.#tasks.clear();
  }

  /** Before the node is told of a task: what the task needs and the node has not. */
  add(task: Task, revision: Revision, view: StoreView, changes: AssignmentChange[]): void {
    if (!hasPayloads(task) || this.#tasks.has(task.id)) return;
    const keys: string[] = [];
    for (const { kind, reference } of payloadReferences(revision.spec)) {
      const key = `${kind.word}/${reference.id}/${reference.number}`;
      const sent = this.#sent.get(key);
      if (sent === undefined) {
        const held = kind.version(view, reference.id, reference.number);
        // Removed meanwhile: the node says of its task what is missing.
        if (held === undefined) continue;
        changes.push(AssignmentChange.create({ item: itemOf(kind, held) }));
        this.#sent.set(key, { kind, reference, tasks: new Set([task.id]) });
      } else sent.tasks.add(task.id);
      keys.push(key);
    }
    if (keys.length > 0) this.#tasks.set(task.id, keys);
  }

  /** The task has ended, or is the node's no more. */
  release(taskId: string, changes: AssignmentChange[]): void {
    const keys = this.#tasks.get(taskId);
    if (keys === undefined) return;
    this.#tasks.delete(taskId);
    for (const key of keys) {
      const sent = this.#sent.get(key);
      if (sent === undefined || !sent.tasks.delete(taskId) || sent.tasks.size > 0) continue;
      this.#sent.delete(key);
      const { id, number } = sent.reference;
      const gone = { id: '', payloadId: id, number, data: new Uint8Array(), templateDriver: '' };
      changes.push(AssignmentChange.create({ remove: true, item: itemOf(sent.kind, gone) }));
    }
  }
}

function itemOf(kind: PayloadKind, held: PayloadData): AssignmentChange['item'] {
  const { id, payloadId, number, data, templateDriver } = held;
  return kind.word === 'secret'
    ? {
        kind: 'secretVersion',
        value: SecretVersion.create({ id, secretId: payloadId, number, data, templateDriver }),
      }
    : {
        kind: 'configVersion',
        value: ConfigVersion.create({ id, configId: payloadId, number, data, templateDriver }),
      };
}
