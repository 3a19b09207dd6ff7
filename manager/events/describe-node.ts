/** What changes of nodes mean. */
import type { Author } from '#common/author.ts';
import { sameBytes } from '#common/same-bytes.ts';
import { IssuanceState, type Node, NodeState } from '#gen/swarm/v1/objects.ts';
import { NodeAvailability, NodeRole } from '#gen/swarm/v1/specs.ts';
import type { EventOf } from '#manager/store/index.ts';
import type { EventDraft, EventSubject } from './event-types.ts';
import { called, changedFields, listed } from './texts.ts';

export function nodeSubject({ id, description }: Node): EventSubject {
  return { id, name: description?.hostname ?? '' };
}

export function describeNode(event: EventOf<'node'>, author: Author): readonly EventDraft[] {
  switch (event.kind) {
    case 'create':
      return admitted(event.object);
    case 'remove':
      return removed(event.old, author);
    case 'update':
      return [
        ...admittedAgain(event.old, event.object),
        ...settings(event.old, event.object),
        ...role(event.old, event.object),
        ...certificate(event.old, event.object),
        ...state(event.old, event.object),
        ...drain(event.old, event.object),
      ];
  }
}

function admitted(node: Node): readonly EventDraft[] {
  const subject = nodeSubject(node);
  const name = called(subject);
  const attributes = { role: ROLE_NAMES[node.role] };
  const drafts: EventDraft[] = [
    { type: 'node', action: 'join', subject, message: `${name} joined the swarm as a ${attributes.role}`, attributes },
  ];
  if (node.role === NodeRole.MANAGER) drafts.push(becameManager(subject));
  if (hasCertificate(node))
    drafts.push({ type: 'certificate', action: 'issue', subject, message: `${name} got its certificate`, attributes });
  return drafts;
}

function removed(node: Node, author: Author): readonly EventDraft[] {
  const subject = nodeSubject(node);
  const name = called(subject);
  const attributes = { role: ROLE_NAMES[node.role] };
  const drafts: EventDraft[] = [];
  if (author.kind === 'swarm')
    drafts.push({ type: 'node', action: 'prune', subject, message: `${name} was removed by itself`, attributes });
  else if (author.id === node.id && author.kind === 'node')
    drafts.push({ type: 'node', action: 'leave', subject, message: `${name} left the swarm`, attributes });
  else
    drafts.push({
      type: 'node',
      action: 'remove',
      subject,
      message: `${name} was removed from the swarm`,
      attributes,
    });
  if (node.role === NodeRole.MANAGER) drafts.push(noManager(subject));
  return drafts;
}

function admittedAgain(old: Node, node: Node): readonly EventDraft[] {
  // Its certificates of before do not count any more: it begins another life.
  if (node.certificatesFromMs <= old.certificatesFromMs) return [];
  const subject = nodeSubject(node);
  const message = `${called(subject)} was admitted again`;
  return [{ type: 'node', action: 'rejoin', subject, message, attributes: { role: ROLE_NAMES[node.role] } }];
}

/** What users declare of it. */
function settings(old: Node, node: Node): readonly EventDraft[] {
  const subject = nodeSubject(node);
  const name = called(subject);
  const drafts: EventDraft[] = [];
  const wanted = node.spec?.desiredRole;
  if (wanted !== undefined && wanted !== (old.spec?.desiredRole ?? wanted))
    drafts.push(
      wanted === NodeRole.MANAGER
        ? { type: 'node', action: 'promote', subject, message: `${name} is to become a manager` }
        : { type: 'node', action: 'demote', subject, message: `${name} is to become a worker` },
    );
  const fields = changedFields(old.spec, node.spec).filter((field) => field !== 'desired_role');
  if (fields.length > 0) {
    const availability = fields.includes('availability') && node.spec ? AVAILABILITIES[node.spec.availability] : '';
    const what = availability === '' ? listed(fields) : `availability is ${availability}`;
    drafts.push({
      type: 'node',
      action: 'update',
      subject,
      message: `${name} was updated: ${what}`,
      attributes: { fields: listed(fields), availability },
    });
  }
  return drafts;
}

function role(old: Node, node: Node): readonly EventDraft[] {
  if (old.role === node.role) return [];
  if (node.role === NodeRole.MANAGER) return [becameManager(nodeSubject(node))];
  return old.role === NodeRole.MANAGER ? [noManager(nodeSubject(node))] : [];
}

function becameManager(subject: EventSubject): EventDraft {
  return { type: 'manager', action: 'add', subject, message: `${called(subject)} is a manager` };
}

function noManager(subject: EventSubject): EventDraft {
  return { type: 'manager', action: 'remove', subject, message: `${called(subject)} is no manager any more` };
}

function certificate(old: Node, node: Node): readonly EventDraft[] {
  const subject = nodeSubject(node);
  const name = called(subject);
  const attributes = { role: ROLE_NAMES[node.certificate?.role ?? node.role] };
  const before = old.certificate?.certificatePem ?? new Uint8Array();
  const after = node.certificate?.certificatePem ?? new Uint8Array();
  const drafts: EventDraft[] = [];
  if (after.length > 0 && !sameBytes(before, after))
    drafts.push(
      before.length === 0
        ? { type: 'certificate', action: 'issue', subject, message: `${name} got its certificate`, attributes }
        : { type: 'certificate', action: 'renew', subject, message: `${name} got another certificate`, attributes },
    );
  if (node.certificate?.state === IssuanceState.ROTATE && old.certificate?.state !== IssuanceState.ROTATE)
    drafts.push({
      type: 'certificate',
      action: 'rotate',
      subject,
      message: `${name} is to ask for another certificate`,
      attributes,
    });
  return drafts;
}

/** UNKNOWN is what a new leader knows of a node that was ready: coming back from there is no news. */
function state(old: Node, node: Node): readonly EventDraft[] {
  const before = old.status?.state;
  const after = node.status?.state;
  if (after === before) return [];
  const subject = nodeSubject(node);
  const name = called(subject);
  const attributes = { address: node.status?.address ?? '' };
  switch (after) {
    case NodeState.READY:
      return before === NodeState.UNKNOWN && old.description !== undefined && old.description.engine !== undefined
        ? []
        : [{ type: 'node', action: 'ready', subject, message: `${name} is ready`, attributes }];
    case NodeState.DOWN:
      return [{ type: 'node', action: 'down', subject, message: `${name} is down`, attributes }];
    case NodeState.DISCONNECTED:
      return [{ type: 'node', action: 'disconnect', subject, message: `${name} went in order`, attributes }];
    default:
      return [];
  }
}

function drain(old: Node, node: Node): readonly EventDraft[] {
  const { drain: before } = old;
  const { drain: after } = node;
  if (after === undefined) return [];
  const subject = nodeSubject(node);
  const name = called(subject);
  const drafts: EventDraft[] = [];
  if (before === undefined || before.startedAtMs !== after.startedAtMs)
    drafts.push({
      type: 'node',
      action: 'drain',
      subject,
      message: `${name} is being drained of ${after.total} tasks`,
      attributes: { tasks: String(after.total) },
    });
  const isDone = after.completedAtMs !== 0;
  if (isDone && (before === undefined || before.completedAtMs !== after.completedAtMs))
    drafts.push({ type: 'node', action: 'drained', subject, message: `${name} is drained` });
  return drafts;
}

function hasCertificate(node: Node): boolean {
  return (node.certificate?.certificatePem.length ?? 0) > 0;
}

const ROLE_NAMES: { readonly [Role in NodeRole]: string } = {
  [NodeRole.UNSPECIFIED]: '',
  [NodeRole.WORKER]: 'worker',
  [NodeRole.MANAGER]: 'manager',
};

const AVAILABILITIES: { readonly [One in NodeAvailability]: string } = {
  [NodeAvailability.UNSPECIFIED]: 'active',
  [NodeAvailability.ACTIVE]: 'active',
  [NodeAvailability.PAUSE]: 'pause',
  [NodeAvailability.DRAIN]: 'drain',
};
