/** What changes of the cluster mean: its settings, its root, its tokens, its keys. Nothing of what they are is told. */
import { sameBytes } from '#common/same-bytes.ts';
import type { Cluster, RootCa, RootRotation } from '#gen/swarm/v1/objects.ts';
import type { EventOf, StoreView } from '#manager/store/index.ts';
import type { EventDraft, EventSubject } from './event-types.ts';
import { called, changedFields, listed } from './texts.ts';

/** @param before the state that the change was made to, for the names of nodes */
export function describeCluster(event: EventOf<'cluster'>, before: StoreView): readonly EventDraft[] {
  const cluster = event.object;
  const subject = { id: cluster.id, name: cluster.spec?.name ?? '' };
  switch (event.kind) {
    case 'create':
      return [{ type: 'cluster', action: 'create', subject, message: 'the swarm was founded' }];
    case 'remove':
      return [];
    case 'update':
      return [
        ...settings(subject, event.old, cluster),
        ...root(subject, event.old.rootCa, cluster.rootCa, before),
        ...tokens(event.old.rootCa, cluster.rootCa),
        ...unlockKey(event.old, cluster),
        ...snapshotKey(event.old, cluster),
      ];
  }
}

function settings(subject: EventSubject, old: Cluster, cluster: Cluster): readonly EventDraft[] {
  const drafts: EventDraft[] = [];
  const fields = [...changedFields(old.spec, cluster.spec), ...changedFields(addressing(old), addressing(cluster))];
  if (fields.length > 0)
    drafts.push({
      type: 'cluster',
      action: 'update',
      subject,
      message: `settings of the swarm were changed: ${listed(fields)}`,
      attributes: { fields: listed(fields) },
    });
  if (cluster.featureLevel !== old.featureLevel)
    drafts.push({
      type: 'cluster',
      action: 'upgrade',
      subject,
      message: `the swarm is at feature level ${cluster.featureLevel}`,
      attributes: { level: String(cluster.featureLevel) },
    });
  return drafts;
}

function addressing({ defaultAddressPools, subnetSize, dataPathPort }: Cluster): object {
  return { defaultAddressPools, subnetSize, dataPathPort };
}

function root(
  cluster: EventSubject,
  old: RootCa | undefined,
  now: RootCa | undefined,
  view: StoreView,
): readonly EventDraft[] {
  const before = old?.rotation;
  const after = now?.rotation;
  const digest = now?.digest ?? '';
  const subject = { id: cluster.id, name: 'root' };
  const drafts: EventDraft[] = [];
  if (digest !== (old?.digest ?? ''))
    drafts.push(
      before !== undefined && before.digest === digest
        ? {
            type: 'root',
            action: 'complete',
            subject,
            message: 'every node has a certificate of the new root, which is the only one from now on',
            attributes: { digest },
          }
        : { type: 'root', action: 'replace', subject, message: 'the swarm has another root', attributes: { digest } },
    );
  else if (before !== undefined && after === undefined)
    drafts.push({
      type: 'root',
      action: 'abort',
      subject,
      message: 'the root stays as it was: its rotation was given up',
      attributes: { digest },
    });
  if (after === undefined) return drafts;
  if (before === undefined || before.number !== after.number || before.digest !== after.digest)
    drafts.push({
      type: 'root',
      action: 'rotate',
      subject,
      message: 'the root is being replaced by another one',
      attributes: { digest: after.digest },
    });
  return [...drafts, ...leftBehind(subject, before, after, view)];
}

function leftBehind(
  subject: EventSubject,
  before: RootRotation | undefined,
  after: RootRotation,
  view: StoreView,
): readonly EventDraft[] {
  const known = new Set(before?.leftBehind);
  const added = after.leftBehind.filter((id) => !known.has(id));
  if (added.length === 0) return [];
  const names = added.map((id) => called({ id, name: view.get('node', id)?.description?.hostname ?? '' }));
  return [
    {
      type: 'root',
      action: 'leave-behind',
      subject,
      message: `the new root does not wait for ${listed(names)}`,
      attributes: { nodes: listed(added) },
    },
  ];
}

function tokens(old: RootCa | undefined, now: RootCa | undefined): readonly EventDraft[] {
  const drafts: EventDraft[] = [];
  for (const role of ['worker', 'manager'] as const)
    if (now?.joinTokens?.[role] !== old?.joinTokens?.[role])
      drafts.push({
        type: 'token',
        action: 'rotate',
        subject: { id: '', name: role },
        message: `there is another token for those who join as a ${role}`,
      });
  return drafts;
}

function unlockKey(old: Cluster, cluster: Cluster): readonly EventDraft[] {
  // Only the version is left of a key that was taken away.
  const [before, after] = [old, cluster].map(({ unlockKey: key }) => (key?.key.length === 0 ? undefined : key));
  const subject = { id: '', name: 'unlock' };
  if (before === undefined && after === undefined) return [];
  if (after === undefined)
    return [{ type: 'key', action: 'remove', subject, message: 'managers are not locked any more when they stop' }];
  const attributes = { version: String(after.version) };
  if (before === undefined)
    return [
      { type: 'key', action: 'set', subject, message: 'managers are locked from now on when they stop', attributes },
    ];
  if (before.version === after.version && sameBytes(before.key, after.key)) return [];
  return [{ type: 'key', action: 'rotate', subject, message: 'there is another unlock key', attributes }];
}

function snapshotKey({ snapshotKey: before }: Cluster, { snapshotKey: after }: Cluster): readonly EventDraft[] {
  if (sameBytes(before, after)) return [];
  const subject = { id: '', name: 'snapshot' };
  return before.length === 0
    ? [{ type: 'key', action: 'set', subject, message: 'snapshots of the swarm have a key' }]
    : [{ type: 'key', action: 'rotate', subject, message: 'snapshots of the swarm have another key' }];
}
