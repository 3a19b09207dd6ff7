import type { Node } from '#gen/swarm/v1/objects.ts';
import type { CaStore, CaView } from '#manager/ca/index.ts';
import type { Change, CommitEvents } from '#manager/store/index.ts';
import { MemoryView } from '#test/fixtures/memory-view.ts';

/** A store as the certificate authority sees it, whose commits take their time. */
export class MemoryStore implements CaStore {
  readonly #view = new MemoryView();
  readonly #listeners = new Set<(commit: CommitEvents) => void>();
  /** Called before every commit; may write something else first. */
  beforeCommit: (() => Promise<void>) | undefined;

  constructor() {
    this.#view.onCommit((commit) => {
      for (const listener of this.#listeners) listener(commit);
    });
  }

  get listeners(): number {
    return this.#listeners.size;
  }

  view(): CaView {
    return {
      get: (table, id) => this.#view.get(table, id),
      count: (table) => this.#view.count(table),
      cluster: () => this.#view.cluster(),
      all: (table) => this.#view.all(table),
      tasksOfNode: (nodeId) => this.#view.tasksOfNode(nodeId),
    };
  }

  nodes(): readonly Node[] {
    return [...this.#view.all('node')];
  }

  async commit(changes: readonly Change[]): Promise<void> {
    const hook = this.beforeCommit;
    this.beforeCommit = undefined;
    await hook?.();
    await Promise.resolve();
    this.#view.commit(changes);
  }

  onCommit(listener: (commit: CommitEvents) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }
}
