import { type Entry, type Message, type MessageType, NO_DATA } from 'raft-ts';
import { SwarmError } from '#common/errors.ts';
import {
  ExchangeRequest,
  type RaftEntry,
  RaftEntryType,
  type RaftMessage,
  RaftMessageType,
} from '#gen/swarm/v1/raft.ts';

/** Messages of the log as the contract has them, and back. Data is not copied on the way out. */

const WIRE_TYPES: Readonly<Partial<Record<MessageType, RaftMessageType>>> = {
  MsgApp: RaftMessageType.APP,
  MsgAppResp: RaftMessageType.APP_RESP,
  MsgVote: RaftMessageType.VOTE,
  MsgVoteResp: RaftMessageType.VOTE_RESP,
  MsgPreVote: RaftMessageType.PRE_VOTE,
  MsgPreVoteResp: RaftMessageType.PRE_VOTE_RESP,
  MsgSnap: RaftMessageType.SNAP,
  MsgHeartbeat: RaftMessageType.HEARTBEAT,
  MsgHeartbeatResp: RaftMessageType.HEARTBEAT_RESP,
  MsgProp: RaftMessageType.PROP,
  MsgTransferLeader: RaftMessageType.TRANSFER_LEADER,
  MsgTimeoutNow: RaftMessageType.TIMEOUT_NOW,
  MsgReadIndex: RaftMessageType.READ_INDEX,
  MsgReadIndexResp: RaftMessageType.READ_INDEX_RESP,
};

const MESSAGE_TYPES: readonly (MessageType | undefined)[] = reversed(WIRE_TYPES);

function reversed(types: Readonly<Partial<Record<MessageType, RaftMessageType>>>): (MessageType | undefined)[] {
  const list: (MessageType | undefined)[] = [];
  for (const [type, wire] of Object.entries(types)) list[wire] = type as MessageType;
  return list;
}

/** Whether the type is one that goes from one manager to another. */
export function travels(type: MessageType): boolean {
  return WIRE_TYPES[type] !== undefined;
}

/** The request that carries the messages. Their types must be ones that travel. */
export function encodeMessages(messages: readonly Message[]): Uint8Array {
  return ExchangeRequest.encode({
    message: { kind: 'messages', value: { messages: messages.map(toWire) } },
  });
}

export function toWire(message: Message): RaftMessage {
  const { snapshot } = message;
  return {
    type: WIRE_TYPES[message.type] ?? RaftMessageType.UNSPECIFIED,
    to: message.to,
    from: message.from,
    term: message.term,
    logTerm: message.logTerm,
    index: message.index,
    entries: message.entries.map(entryToWire),
    commit: message.commit,
    reject: message.reject,
    rejectHint: message.rejectHint,
    context: message.context,
    snapshot: snapshot && { index: snapshot.index, term: snapshot.term, confState: snapshot.confState },
  };
}

function entryToWire(entry: Entry): RaftEntry {
  return { type: entryType(entry), term: entry.term, index: entry.index, data: entry.data };
}

function entryType(entry: Entry): RaftEntryType {
  switch (entry.type) {
    case 'EntryNormal':
      return RaftEntryType.NORMAL;
    case 'EntryConfChangeV2':
      return RaftEntryType.CONF_CHANGE;
    case 'EntryConfChange':
      // Whoever received it would read it as the other form.
      throw new SwarmError({
        code: 'internal',
        reason: 'internal',
        message: `entry ${entry.index} is a configuration change of the old form, which managers do not exchange`,
      });
  }
}

/** @throws SwarmError `bad-message` for what no manager of this or an older release says. */
export function fromWire(wire: RaftMessage): Message {
  const type = MESSAGE_TYPES[wire.type];
  if (type === undefined) throw badMessage('its type is unknown');
  if (wire.to === 0 || wire.from === 0) throw badMessage('it names no sender or no receiver');
  return {
    type,
    to: wire.to,
    from: wire.from,
    term: wire.term,
    logTerm: wire.logTerm,
    index: wire.index,
    entries: entriesOf(wire),
    commit: wire.commit,
    vote: 0,
    snapshot: snapshotOf(wire),
    reject: wire.reject,
    rejectHint: wire.rejectHint,
    context: wire.context,
    responses: [],
  };
}

function entriesOf(wire: RaftMessage): readonly Entry[] {
  const { entries } = wire;
  if (entries.length === 0) return entries as readonly never[];
  const appended = wire.type === RaftMessageType.APP;
  return entries.map((entry, position) => {
    // The log relies on it: entries follow one another, and the index of the message.
    if (appended && entry.index !== wire.index + 1 + position) throw badMessage('its entries have gaps');
    return { type: typeOfEntry(entry), term: entry.term, index: entry.index, data: entry.data };
  });
}

function typeOfEntry(entry: RaftEntry): Entry['type'] {
  if (entry.type === RaftEntryType.NORMAL) return 'EntryNormal';
  if (entry.type === RaftEntryType.CONF_CHANGE) return 'EntryConfChangeV2';
  throw badMessage('an entry is of a type that this release does not know');
}

function snapshotOf(wire: RaftMessage): Message['snapshot'] {
  if (wire.type !== RaftMessageType.SNAP) return undefined;
  const { snapshot } = wire;
  if (snapshot?.confState === undefined || snapshot.index === 0) throw badMessage('it says nothing of its snapshot');
  const { voters, learners, votersOutgoing, learnersNext, autoLeave } = snapshot.confState;
  return {
    index: snapshot.index,
    term: snapshot.term,
    confState: { voters, learners, votersOutgoing, learnersNext, autoLeave },
    data: NO_DATA,
  };
}

function badMessage(what: string): SwarmError {
  return new SwarmError({
    code: 'invalid',
    reason: 'bad-message',
    message: `a message of the log cannot be used: ${what}`,
  });
}
