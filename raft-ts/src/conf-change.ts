import { NO_DATA, type NodeId } from './types.ts';

export type ConfChangeType =
  | 'ConfChangeAddNode'
  | 'ConfChangeRemoveNode'
  | 'ConfChangeUpdateNode'
  | 'ConfChangeAddLearnerNode';

/** How a change is made: `Auto` goes joint only if it has to, the other two always; `Explicit` stays joint until told. */
export type ConfChangeTransition =
  | 'ConfChangeTransitionAuto'
  | 'ConfChangeTransitionJointImplicit'
  | 'ConfChangeTransitionJointExplicit';

export interface ConfChangeSingle {
  readonly type: ConfChangeType;
  readonly nodeId: NodeId;
}

/** One change at a time: the old form, an `EntryConfChange`. */
export interface ConfChange {
  readonly version: 1;
  readonly type: ConfChangeType;
  readonly nodeId: NodeId;
  /** The application's own, carried along. */
  readonly context: Uint8Array;
}

/** Any number of changes at once: an `EntryConfChangeV2`. Without changes it leaves a joint configuration. */
export interface ConfChangeV2 {
  readonly version: 2;
  readonly transition: ConfChangeTransition;
  readonly changes: readonly ConfChangeSingle[];
  readonly context: Uint8Array;
}

export type AnyConfChange = ConfChange | ConfChangeV2;

/** The change that leaves a joint configuration. */
export const LEAVE_JOINT: ConfChangeV2 = {
  version: 2,
  transition: 'ConfChangeTransitionAuto',
  changes: [],
  context: NO_DATA,
};

/** A change from its parts; what is not given is automatic and empty. */
export function confChange(
  changes: readonly ConfChangeSingle[],
  parts: Partial<Omit<ConfChangeV2, 'version' | 'changes'>> = {},
): ConfChangeV2 {
  return { ...LEAVE_JOINT, ...parts, changes };
}

export function asV2(change: AnyConfChange): ConfChangeV2 {
  if (change.version === 2) return change;
  const { type, nodeId, context } = change;
  return { version: 2, transition: 'ConfChangeTransitionAuto', changes: [{ type, nodeId }], context };
}

/** What a change does to the configuration. */
export type ConfChangeKind =
  | { readonly kind: 'simple' }
  | { readonly kind: 'enterJoint'; readonly autoLeave: boolean }
  | { readonly kind: 'leaveJoint' };

export function kindOf(change: ConfChangeV2): ConfChangeKind {
  if (change.transition === 'ConfChangeTransitionAuto' && change.changes.length === 0) return { kind: 'leaveJoint' };
  // A single change is made simply unless joint consensus is asked for: for one voter the two are equally safe.
  if (change.transition === 'ConfChangeTransitionAuto' && change.changes.length === 1) return { kind: 'simple' };
  return { kind: 'enterJoint', autoLeave: change.transition !== 'ConfChangeTransitionJointExplicit' };
}

const LETTERS: Readonly<Record<ConfChangeType, string>> = {
  ConfChangeAddNode: 'v',
  ConfChangeAddLearnerNode: 'l',
  ConfChangeRemoveNode: 'r',
  ConfChangeUpdateNode: 'u',
};

const TYPES: Readonly<Record<string, ConfChangeType>> = {
  v: 'ConfChangeAddNode',
  l: 'ConfChangeAddLearnerNode',
  r: 'ConfChangeRemoveNode',
  u: 'ConfChangeUpdateNode',
};

/** The short notation: `v1 l2 r3 u4` adds voter 1, adds learner 2, removes 3 and updates 4. */
export function formatChanges(changes: readonly ConfChangeSingle[]): string {
  return changes.map((change) => `${LETTERS[change.type]}${change.nodeId}`).join(' ');
}

export type ParsedChanges =
  | { readonly ok: true; readonly changes: readonly ConfChangeSingle[] }
  | { readonly ok: false; readonly error: string };

/** Reads the short notation. */
export function parseChanges(text: string): ParsedChanges {
  const changes: ConfChangeSingle[] = [];
  const tokens = text.trim() === '' ? [] : text.trim().split(' ');
  for (const token of tokens) {
    if (token.length < 2) return { ok: false, error: `unknown token ${token}` };
    const type = TYPES[token.slice(0, 1)];
    if (type === undefined) return { ok: false, error: `unknown input: ${token}` };
    const digits = token.slice(1);
    const nodeId = Number(digits);
    if (!/^\d+$/.test(digits) || !Number.isSafeInteger(nodeId))
      return { ok: false, error: `strconv.ParseUint: parsing ${JSON.stringify(digits)}: invalid syntax` };
    changes.push({ type, nodeId });
  }
  return { ok: true, changes };
}

/** A change in full, as log lines show it. */
export function describeConfChange(change: AnyConfChange): string {
  if (change.version === 1) return `type:${change.type} node_id:${change.nodeId}`;
  const changes = change.changes.map((one) => ` changes:{type:${one.type} node_id:${one.nodeId}}`).join('');
  return `transition:${change.transition}${changes}`;
}
