/** What the library handles, in words: for logs, and for transcripts that tests compare byte for byte. */
import { asV2, formatChanges } from './conf-change.ts';
import { decodeConfChange } from './conf-change-codec.ts';
import type { Message } from './message.ts';
import type { Ready } from './ready.ts';
import {
  APPEND_THREAD,
  APPLY_THREAD,
  type ConfState,
  type Entry,
  type HardState,
  NONE,
  type NodeId,
  type ReadState,
  type Snapshot,
  type SoftState,
} from './types.ts';

/** How to show an application's data. */
export type DataFormatter = (data: Uint8Array) => string;

export function describeHardState({ term, vote, commit }: HardState): string {
  return `Term:${term}${vote === NONE ? '' : ` Vote:${vote}`} Commit:${commit}`;
}

export function describeSoftState({ lead, state }: SoftState): string {
  return `Lead:${lead} State:${state}`;
}

export function describeConfState(state: ConfState): string {
  const list = (ids: readonly NodeId[]): string => `[${ids.join(' ')}]`;
  return [
    `Voters:${list(state.voters)}`,
    `VotersOutgoing:${list(state.votersOutgoing)}`,
    `Learners:${list(state.learners)}`,
    `LearnersNext:${list(state.learnersNext)}`,
    `AutoLeave:${state.autoLeave}`,
  ].join(' ');
}

export function describeSnapshot({ index, term, confState }: Snapshot): string {
  return `Index:${index} Term:${term} ConfState:${describeConfState(confState)}`;
}

export function describeTarget(id: NodeId): string {
  if (id === NONE) return 'None';
  if (id === APPEND_THREAD) return 'AppendThread';
  if (id === APPLY_THREAD) return 'ApplyThread';
  return id.toString(16);
}

export function describeEntry(entry: Entry, format: DataFormatter = quoteBytes): string {
  const text = entry.type === 'EntryNormal' ? format(entry.data) : describeChangeIn(entry);
  return `${entry.term}/${entry.index} ${entry.type}${text === '' ? '' : ` ${text}`}`;
}

function describeChangeIn(entry: Entry): string {
  const change = decodeConfChange(entry);
  return change === undefined ? 'unreadable conf change' : formatChanges(asV2(change).changes);
}

/** One line each. */
export function describeEntries(entries: readonly Entry[], format: DataFormatter = quoteBytes): string {
  return entries.map((entry) => `${describeEntry(entry, format)}\n`).join('');
}

/** A message on one line, or on more if it holds several entries, a snapshot or responses. */
export function describeMessage(message: Message, format: DataFormatter = quoteBytes, indent = ''): string {
  const { from, to, type, term, logTerm, index, entries, snapshot, responses } = message;
  let text = `${indent}${describeTarget(from)}->${describeTarget(to)} ${type} Term:${term} Log:${logTerm}/${index}`;
  if (message.reject) text += ` Rejected (Hint: ${message.rejectHint})`;
  if (message.commit !== 0) text += ` Commit:${message.commit}`;
  if (message.vote !== NONE) text += ` Vote:${message.vote}`;
  const [first] = entries;
  if (entries.length === 1 && first !== undefined) text += ` Entries:[${describeEntry(first, format)}]`;
  else if (entries.length > 1) {
    const lines = entries.map((entry) => `\n${indent}  ${describeEntry(entry, format)}`).join('');
    text += ` Entries:[${lines}\n${indent}]`;
  }
  if (snapshot !== undefined && snapshot.index !== 0) text += `\n${indent}  Snapshot: ${describeSnapshot(snapshot)}`;
  if (responses.length > 0) {
    const lines = responses.map((one) => `\n${describeMessage(one, format, `${indent}  `)}`).join('');
    text += ` Responses:[${lines}\n${indent}]`;
  }
  return text;
}

function describeReadState({ index, context }: ReadState): string {
  return `{${index} [${[...context].join(' ')}]}`;
}

/** A Ready on several lines; `<empty Ready>` if there is nothing in it. */
export function describeReady(ready: Ready, format: DataFormatter = quoteBytes): string {
  let text = '';
  if (ready.softState !== undefined) text += `${describeSoftState(ready.softState)}\n`;
  if (ready.hardState !== undefined) text += `HardState ${describeHardState(ready.hardState)}\n`;
  if (ready.readStates.length > 0) text += `ReadStates [${ready.readStates.map(describeReadState).join(' ')}]\n`;
  if (ready.entries.length > 0) text += `Entries:\n${describeEntries(ready.entries, format)}`;
  if (ready.snapshot !== undefined) text += `Snapshot ${describeSnapshot(ready.snapshot)}\n`;
  if (ready.committedEntries.length > 0)
    text += `CommittedEntries:\n${describeEntries(ready.committedEntries, format)}`;
  if (ready.messages.length > 0)
    text += `Messages:\n${ready.messages.map((one) => `${describeMessage(one, format)}\n`).join('')}`;
  return text === '' ? '<empty Ready>' : `Ready MustSync=${ready.mustSync}:\n${text}`;
}

const ESCAPES: Readonly<Record<number, string>> = {
  7: '\\a',
  8: '\\b',
  9: '\\t',
  10: '\\n',
  11: '\\v',
  12: '\\f',
  13: '\\r',
  34: '\\"',
  92: '\\\\',
};

/** The length of the UTF-8 sequence at `at`, and its code point; undefined where there is no valid one. */
function decodeRune(data: Uint8Array, at: number): { readonly size: number; readonly rune: number } | undefined {
  const first = data[at] ?? 0;
  const size = first < 0x80 ? 1 : first >= 0xf0 && first < 0xf5 ? 4 : first >= 0xe0 ? 3 : first >= 0xc2 ? 2 : 0;
  if (size === 0 || first >= 0xf5 || at + size > data.length) return undefined;
  let rune = size === 1 ? first : first & (0xff >> (size + 1));
  for (let i = 1; i < size; i++) {
    const next = data[at + i] ?? 0;
    if ((next & 0xc0) !== 0x80) return undefined;
    rune = rune * 64 + (next & 0x3f);
  }
  const shortest = [0, 0, 0x80, 0x800, 0x10000][size] ?? 0;
  if (rune < shortest || rune > 0x10ffff || (rune >= 0xd800 && rune <= 0xdfff)) return undefined;
  return { size, rune };
}

/** Bytes as a quoted string, with Go's escapes (`%q`): text stays readable, anything else is shown by number. */
export function quoteBytes(data: Uint8Array): string {
  let text = '"';
  for (let at = 0; at < data.length; ) {
    const decoded = decodeRune(data, at);
    if (decoded === undefined) {
      text += `\\x${(data[at] ?? 0).toString(16).padStart(2, '0')}`;
      at++;
      continue;
    }
    text += quoteRune(decoded.rune);
    at += decoded.size;
  }
  return `${text}"`;
}

function quoteRune(rune: number): string {
  const escaped = ESCAPES[rune];
  if (escaped !== undefined) return escaped;
  const character = String.fromCodePoint(rune);
  if (rune === 0x20 || /^[\p{L}\p{M}\p{N}\p{P}\p{S}]$/u.test(character)) return character;
  if (rune < 0x80) return `\\x${rune.toString(16).padStart(2, '0')}`;
  return rune < 0x10000 ? `\\u${rune.toString(16).padStart(4, '0')}` : `\\U${rune.toString(16).padStart(8, '0')}`;
}
