import { SwarmError } from '#common/errors.ts';
import type { Cluster, Node } from '#gen/swarm/v1/objects.ts';
import type { CaStore, CaView } from '#manager/ca/index.ts';
import type { Change, CommitEvents, StoreEvent, TableName, Tables } from '#manager/store/index.ts';

/** The two tables that the certificate authority touches, with optimistic versions. */
export class MemoryStore implements CaStore {
  readonly #clusters = new Map<string, Cluster>();
  readonly #nodes = new Map<string, Node>();
  readonly #listeners = new Set<(commit: CommitEvents) => void>();
  #version = 0;
  /** Called before every commit; may write something else first. */
  beforeCommit: (() => Promise<void>) | undefined;

  get listeners(): number {
    return this.#listeners.size;
  }

  view(): CaView {
    return {
      get: <Name extends TableName>(table: Name, id: string) => this.#table(table).get(id) as Tables[Name] | undefined,
      count: (table) => this.#table(table).size,
      cluster: () => this.#clusters.values().next().value,
    };
  }

  nodes(): readonly Node[] {
    return [...this.#nodes.values()];
  }

  async commit(changes: readonly Change[]): Promise<void> {
    const hook = this.beforeCommit;
    this.beforeCommit = undefined;
    await hook?.();
    await Promise.resolve();
    for (const { kind, table, object } of changes) {
      const current = this.#table(table).get(object.id);
      if ((kind === 'create') !== (current === undefined) || (current?.version ?? 0) !== object.version)
        throw new SwarmError({ code: 'conflict', reason: 'out-of-sequence', message: `${table} ${object.id} changed` });
    }
    this.#version += 1;
    const events = changes.map((change) => this.#apply(change));
    for (const listener of this.#listeners) listener({ version: this.#version, timeMs: 0, events });
  }

  subscribe(listener: (commit: CommitEvents) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  #apply(change: Change): StoreEvent {
    const { kind, table } = change;
    const object = { ...change.object, version: this.#version };
    const old = this.#table(table).get(object.id);
    if (kind === 'remove') this.#table(table).delete(object.id);
    else this.#table(table).set(object.id, object as never);
    return { kind, table, object, old } as unknown as StoreEvent;
  }

  #table(table: TableName): Map<string, Cluster | Node> {
    return table === 'cluster' ? this.#clusters : this.#nodes;
  }
}
