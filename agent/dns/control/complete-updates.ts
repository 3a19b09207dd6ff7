/** All that there is to know, as a series of updates of bounded size. */

import type { NetworkEndpoint, NetworkService, NetworkTable } from '#gen/swarm/v1/networks.ts';
import { NetworkChange, NetworkChanges, NetworkChangesType } from '#gen/swarm/v1/networks.ts';
import { type ResolverAsker, type ResolverSettings, ResolverUpdate } from '#gen/swarm/v1/resolver.ts';

/** One network as the resolver needs it: without peers. */
export interface NetworkContent {
  readonly table: NetworkTable;
  readonly services: Iterable<NetworkService>;
  readonly endpoints: Iterable<NetworkEndpoint>;
}

export interface Everything {
  readonly version: number;
  readonly networks: Iterable<NetworkContent>;
  readonly askers: Iterable<ResolverAsker>;
  readonly settings: ResolverSettings | undefined;
}

function* changesOf(networks: Iterable<NetworkContent>): Generator<NetworkChange> {
  for (const { table, services, endpoints } of networks) {
    const { networkId } = table;
    yield NetworkChange.create({ networkId, item: { kind: 'table', value: table } });
    for (const value of services) yield NetworkChange.create({ networkId, item: { kind: 'service', value } });
    for (const value of endpoints) yield NetworkChange.create({ networkId, item: { kind: 'endpoint', value } });
  }
}

/** The first says `reset`, the last one no longer says `more`. Never none. */
export function* completeUpdates(everything: Everything, changesPerUpdate: number): Generator<ResolverUpdate> {
  const { version, networks, askers, settings } = everything;
  let changes: NetworkChange[] = [];
  let first = true;
  const update = (more: boolean): ResolverUpdate => {
    const made = ResolverUpdate.create({
      reset: first,
      networks: NetworkChanges.create({ type: NetworkChangesType.INCREMENTAL, version, changes, more }),
      ...(first ? { askers: [...askers], settings } : {}),
    });
    first = false;
    changes = [];
    return made;
  };
  for (const change of changesOf(networks)) {
    changes.push(change);
    if (changes.length >= changesPerUpdate) yield update(true);
  }
  yield update(false);
}
