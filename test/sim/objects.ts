import { Cluster, Node } from '#gen/swarm/v1/objects.ts';
import { NodeSpec } from '#gen/swarm/v1/specs.ts';
import type { CommitEvents, IndexedStoreView } from '#manager/store/index.ts';
import type { WatchedChange } from '#test/linearizability/index.ts';

/** The simulation's keys are nodes, their values a label: objects as any other to the store. */
const LABEL = 'value';

/** A field that no release knows yet, as a newer one would write it: number 2000, with the value 42. */
const NEWER_FIELD = new Uint8Array([0x80, 0x7d, 0x2a]);

/** An object with that field, which managers of any release may change. */
export const KEPT_OBJECT = 'kept';

export function keptObject(): Node {
  return Node.decode(new Uint8Array([...Node.encode(Node.create({ id: KEPT_OBJECT })), ...NEWER_FIELD]));
}

export function isKeptWhole(node: Node | undefined): boolean {
  return node?.$unknown !== undefined && Buffer.compare(node.$unknown, NEWER_FIELD) === 0;
}

export const CLUSTER_ID = 'cluster';

export function keyed(id: string, value: string, before?: Node): Node {
  const spec = before?.spec ?? NodeSpec.create({});
  return Node.create({ ...before, id, spec: { ...spec, labels: { [LABEL]: value } } });
}

export function valueOf(node: Node | undefined): string | null {
  return node?.spec?.labels[LABEL] ?? null;
}

export function clusterObject(): Cluster {
  return Cluster.create({ id: CLUSTER_ID, featureLevel: 1 });
}

/** What watchers of a commit are told of keys. */
export function changesOf(commit: CommitEvents): readonly WatchedChange[] {
  return commit.events.flatMap((event) =>
    event.table === 'node'
      ? [{ key: event.object.id, value: event.kind === 'remove' ? null : valueOf(event.object) }]
      : [],
  );
}

export function describeCommit(commit: CommitEvents): string {
  return commit.events
    .map(
      ({ kind, table, object }) =>
        `${kind} ${table} ${object.id} ${table === 'node' ? JSON.stringify(object.spec?.labels ?? {}) : ''}`,
    )
    .join(', ');
}

/** Everything in the store, as text. */
export function describeView(view: IndexedStoreView): string {
  const nodes = [...view.all('node')].sort((left, right) => (left.id < right.id ? -1 : 1));
  const text = nodes.map((node) => `${node.id}=${valueOf(node)}@${node.version}`).join(' ');
  return `version ${view.version}: ${text} level ${view.cluster()?.featureLevel ?? 0}`;
}
