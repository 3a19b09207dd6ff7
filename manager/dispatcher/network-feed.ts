/** What one agent has been told of networks, and what it has to be told next. Pure. */
import type { NetworkChange } from '#gen/swarm/v1/networks.ts';
import { NetworkTable } from '#gen/swarm/v1/networks.ts';
import type { NetworkTableChanges, NetworkTables } from '#manager/discovery/index.ts';

export class NetworkFeed {
  readonly #nodeId: string;
  readonly #tables: NetworkTables;
  /** Tables that the agent has, or will have once it was told all that this feed said. */
  #known: ReadonlySet<string> = new Set();

  constructor(nodeId: string, tables: NetworkTables) {
    this.#nodeId = nodeId;
    this.#tables = tables;
  }

  /** Begins anew with all tables that the node needs: their networks. */
  begin(): readonly string[] {
    this.#known = this.#tables.neededBy(this.#nodeId);
    return [...this.#known];
  }

  /** All that there is in the tables of these networks. */
  complete(networkIds: readonly string[]): readonly NetworkChange[] {
    return networkIds.flatMap((id) => this.#tables.complete(id));
  }

  /**
   * What the changes mean for the node, in lists: those of networks that it knew are the very ones of `changes`, so that
   * who tells many nodes sees what is the same for all of them.
   *
   * @param mayNeedOthers whether tasks came to the node or left it: then it may need other tables than before
   */
  increment(changes: NetworkTableChanges, mayNeedOthers: boolean): readonly (readonly NetworkChange[])[] {
    const before = this.#known;
    if (mayNeedOthers || beginsOrEndsTable(changes)) this.#known = this.#tables.neededBy(this.#nodeId);
    const told: (readonly NetworkChange[])[] = [];
    for (const id of this.#known) {
      const list = before.has(id) ? changes.get(id) : this.#tables.complete(id);
      if (list !== undefined && list.length > 0) told.push(list);
    }
    for (const networkId of before) if (!this.#known.has(networkId)) told.push([removalOf(networkId)]);
    return told;
  }
}

function beginsOrEndsTable(changes: NetworkTableChanges): boolean {
  for (const list of changes.values()) if (list.some(({ item }) => item?.kind === 'table')) return true;
  return false;
}

function removalOf(networkId: string): NetworkChange {
  return { networkId, remove: true, item: { kind: 'table', value: NetworkTable.create({ networkId }) } };
}
