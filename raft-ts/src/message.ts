import { type Entry, NO_DATA, NONE, type NodeId, type Snapshot } from './types.ts';

/** The first group travels between nodes; the second stays on one. */
export type MessageType =
  | 'MsgApp'
  | 'MsgAppResp'
  | 'MsgVote'
  | 'MsgVoteResp'
  | 'MsgPreVote'
  | 'MsgPreVoteResp'
  | 'MsgSnap'
  | 'MsgHeartbeat'
  | 'MsgHeartbeatResp'
  | 'MsgProp'
  | 'MsgTransferLeader'
  | 'MsgTimeoutNow'
  | 'MsgReadIndex'
  | 'MsgReadIndexResp'
  | 'MsgForgetLeader'
  | 'MsgHup'
  | 'MsgBeat'
  | 'MsgCheckQuorum'
  | 'MsgUnreachable'
  | 'MsgSnapStatus'
  | 'MsgStorageAppend'
  | 'MsgStorageAppendResp'
  | 'MsgStorageApply'
  | 'MsgStorageApplyResp';

/** One flat record for every type, so that all messages have the same shape; fields a type does not use are empty. */
export interface Message {
  readonly type: MessageType;
  readonly to: NodeId;
  readonly from: NodeId;
  /** Zero for messages that belong to no term: local ones, proposals, read requests. */
  readonly term: number;
  /** The term at `index`: of the entry before those sent, of a candidate's last entry, of a rejection's hint. */
  readonly logTerm: number;
  readonly index: number;
  readonly entries: readonly Entry[];
  readonly commit: number;
  /** The vote to store (MsgStorageAppend only). */
  readonly vote: NodeId;
  readonly snapshot: Snapshot | undefined;
  readonly reject: boolean;
  /** The follower's guess where the logs still agree. */
  readonly rejectHint: number;
  readonly context: Uint8Array;
  /** To be delivered once the work of a MsgStorageAppend or MsgStorageApply is durable or applied. */
  readonly responses: readonly Message[];
}

/** A message from the fields that matter; the others are empty. */
export function message(fields: { readonly type: MessageType } & Partial<Message>): Message {
  return {
    type: fields.type,
    to: fields.to ?? NONE,
    from: fields.from ?? NONE,
    term: fields.term ?? 0,
    logTerm: fields.logTerm ?? 0,
    index: fields.index ?? 0,
    entries: fields.entries ?? [],
    commit: fields.commit ?? 0,
    vote: fields.vote ?? NONE,
    snapshot: fields.snapshot,
    reject: fields.reject ?? false,
    rejectHint: fields.rejectHint ?? 0,
    context: fields.context ?? NO_DATA,
    responses: fields.responses ?? [],
  };
}

const LOCAL: ReadonlySet<MessageType> = new Set<MessageType>([
  'MsgHup',
  'MsgBeat',
  'MsgUnreachable',
  'MsgSnapStatus',
  'MsgCheckQuorum',
  'MsgStorageAppend',
  'MsgStorageAppendResp',
  'MsgStorageApply',
  'MsgStorageApplyResp',
]);

const RESPONSES: ReadonlySet<MessageType> = new Set<MessageType>([
  'MsgAppResp',
  'MsgVoteResp',
  'MsgHeartbeatResp',
  'MsgUnreachable',
  'MsgReadIndexResp',
  'MsgPreVoteResp',
  'MsgStorageAppendResp',
  'MsgStorageApplyResp',
]);

/** Whether a type never travels between nodes. */
export function isLocalMessage(type: MessageType): boolean {
  return LOCAL.has(type);
}

/** Whether a type answers another message. */
export function isResponseMessage(type: MessageType): boolean {
  return RESPONSES.has(type);
}
