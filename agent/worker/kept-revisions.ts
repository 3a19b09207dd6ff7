/** The revisions that the tasks of this node run, each once. */
import type { DatabaseWrite } from '#agent/database/index.ts';
import type { Revision, Task } from '#gen/swarm/v1/objects.ts';

export class KeptRevisions {
  readonly #revisions = new Map<string, Revision>();

  /** What is to be written of it. */
  keep(revision: Revision): readonly DatabaseWrite[] {
    const key = keyOf(revision.serviceId, revision.number);
    if (this.#revisions.has(key)) return []; // immutable but for its outcome, which does not matter here
    this.#revisions.set(key, revision);
    return [{ kind: 'put-revision', revision }];
  }

  get({ serviceId, revision }: Task): Revision | undefined {
    return this.#revisions.get(keyOf(serviceId, revision));
  }

  /** Keeps those of these tasks only. */
  dropUnused(tasks: readonly Task[]): readonly DatabaseWrite[] {
    const used = new Set(tasks.map(({ serviceId, revision }) => keyOf(serviceId, revision)));
    const writes: DatabaseWrite[] = [];
    for (const [key, { serviceId, number }] of this.#revisions) {
      if (used.has(key)) continue;
      this.#revisions.delete(key);
      writes.push({ kind: 'delete-revision', serviceId, number });
    }
    return writes;
  }
}

function keyOf(serviceId: string, number: number): string {
  return `${serviceId}/${number}`;
}
