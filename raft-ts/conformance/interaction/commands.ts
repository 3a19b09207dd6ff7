/** Interaction files: what each command does to the group. */
import {
  type ConfChangeTransition,
  confChange,
  describeEntries,
  describeMessage,
  message,
  NO_DATA,
  parseChanges,
  REFUSAL_TEXT,
  type Refusal,
} from '../../src/index.ts';
import { type DataCase, FormatError, toBoolean, toNumber, valuesOf } from '../data-file.ts';
import { addNodes } from './add-nodes.ts';
import { Environment, type Recipient } from './environment.ts';

type Command = (environment: Environment, one: DataCase) => void;

/** What a command reports instead of, or after, its output. */
class CommandError extends Error {}

function bareWords(one: DataCase): readonly string[] {
  return one.args.filter((arg) => arg.values.length === 0).map((arg) => arg.key);
}

function ids(one: DataCase): readonly number[] {
  return bareWords(one).map(toNumber);
}

function id(one: DataCase, at = 0): number {
  return toNumber(bareWords(one)[at] ?? '');
}

function value(one: DataCase, key: string): number {
  return toNumber(valuesOf(one, key)[0] ?? '');
}

function report(refusal: Refusal | undefined): void {
  if (refusal !== undefined) throw new CommandError(REFUSAL_TEXT[refusal]);
}

/** Runs for each node named; with several, under a title each. */
function each(environment: Environment, one: DataCase, title: string, run: (id: number) => void): void {
  const named = ids(one);
  for (const node of named) {
    if (named.length === 1) {
      run(node);
      continue;
    }
    environment.output.write(`> ${node} ${title}\n`);
    environment.output.indented(() => run(node));
  }
}

function deliver(environment: Environment, one: DataCase): void {
  const recipients: Recipient[] = ids(one).map((node) => ({ id: node, drop: false }));
  for (const node of valuesOf(one, 'drop').map(toNumber)) {
    if (recipients.some((recipient) => recipient.id === node))
      throw new FormatError(`can't both deliver and drop msgs to ${node}`);
    recipients.push({ id: node, drop: true });
  }
  if (environment.deliver(recipients, valuesOf(one, 'type')[0]) === 0) environment.output.write('no messages\n');
}

function stabilize(environment: Environment, one: DataCase): void {
  const { output } = environment;
  const before = output.level;
  const [level] = valuesOf(one, 'log-level');
  try {
    if (level !== undefined) output.setLevel(level);
    const named = ids(one);
    environment.stabilize(named.length > 0 ? named : environment.ids);
  } finally {
    output.level = before;
  }
}

const TRANSITIONS: Readonly<Record<string, ConfChangeTransition>> = {
  auto: 'ConfChangeTransitionAuto',
  implicit: 'ConfChangeTransitionJointImplicit',
  explicit: 'ConfChangeTransitionJointExplicit',
};

function proposeConfChange(environment: Environment, one: DataCase): void {
  let old = false;
  let transition: ConfChangeTransition = 'ConfChangeTransitionAuto';
  for (const { key, values } of one.args)
    for (const text of values) {
      if (key === 'v1') old = toBoolean(text);
      else if (key === 'transition') transition = TRANSITIONS[text] ?? fail(`unknown transition ${text}`);
      else fail(`unknown command ${key}`);
    }
  const parsed = parseChanges(one.input);
  if (!parsed.ok) throw new CommandError(parsed.error);
  const [change] = parsed.changes;
  const { raw } = environment.node(id(one));
  if (!old) {
    report(raw.proposeConfChange(confChange(parsed.changes, { transition })));
    return;
  }
  if (change === undefined || parsed.changes.length > 1 || transition !== 'ConfChangeTransitionAuto')
    return fail('v1 conf change can only have one operation and no transition');
  report(raw.proposeConfChange({ version: 1, ...change, context: NO_DATA }));
}

function fail(text: string): never {
  throw new CommandError(text);
}

function raftLog(environment: Environment, node: number): void {
  const { storage } = environment.node(node);
  const first = storage.firstIndex();
  const last = storage.lastIndex();
  const entries = storage.entries(first, last + 1, Infinity);
  if (last < first) environment.output.write(`log is empty: first index=${first}, last index=${last}`);
  else environment.output.write(typeof entries === 'string' ? entries : describeEntries(entries));
}

function raftState(environment: Environment): void {
  for (const { raw } of environment.nodes) {
    const { id: node, state, isVoter, term, lead } = raw.status();
    environment.output.write(`${node}: ${state} (${isVoter ? 'Voter' : 'Non-Voter'}) Term:${term} Lead:${lead}\n`);
  }
}

function sendSnapshot(environment: Environment, one: DataCase): void {
  const from = environment.node(id(one, 0));
  const snapshot = from.storage.snapshot();
  if (snapshot === 'unavailable') fail('snapshot is temporarily unavailable');
  const { term } = from.raw.status();
  const sent = message({ type: 'MsgSnap', term, from: from.raw.id, to: id(one, 1), snapshot });
  environment.queue(sent);
  environment.output.write(describeMessage(sent));
}

function ticks(environment: Environment, one: DataCase, count: number): void {
  const { raw } = environment.node(id(one));
  for (let i = 0; i < count; i++) raw.tick();
}

const COMMANDS: Readonly<Record<string, Command>> = {
  _breakpoint: () => {},
  'add-nodes': (environment, one) => addNodes(environment, one, id(one)),
  campaign: (environment, one) => environment.node(id(one)).raw.campaign(),
  compact: (environment, one) => {
    if (!environment.node(id(one)).storage.compact(id(one, 1)))
      fail('requested index is unavailable due to compaction');
    raftLog(environment, id(one));
  },
  'deliver-msgs': deliver,
  'process-ready': (environment, one) =>
    each(environment, one, 'handling Ready', (node) => environment.processReady(node)),
  'process-append-thread': (environment, one) =>
    each(environment, one, 'processing append thread', (node) => environment.processAppend(node)),
  'process-apply-thread': (environment, one) =>
    each(environment, one, 'processing apply thread', (node) => environment.processApply(node)),
  'log-level': (environment, one) => environment.output.setLevel(bareWords(one)[0] ?? ''),
  'raft-log': (environment, one) => raftLog(environment, id(one)),
  'raft-state': raftState,
  'set-randomized-election-timeout': (environment, one) =>
    environment.node(id(one)).raw.setRandomizedElectionTimeout(value(one, 'timeout')),
  stabilize,
  status: (environment, one) => environment.output.write(environment.node(id(one)).raw.describeProgress()),
  'tick-election': (environment, one) => ticks(environment, one, environment.node(id(one)).config.electionTick),
  'tick-heartbeat': (environment, one) => ticks(environment, one, environment.node(id(one)).config.heartbeatTick),
  'transfer-leadership': (environment, one) =>
    environment.node(value(one, 'from')).raw.transferLeader(value(one, 'to')),
  'forget-leader': (environment, one) => environment.node(id(one)).raw.forgetLeader(),
  'send-snapshot': sendSnapshot,
  propose: (environment, one) =>
    report(environment.node(id(one)).raw.propose(new TextEncoder().encode(bareWords(one)[1] ?? ''))),
  'propose-conf-change': proposeConfChange,
  // The following are not in etcd's files.
  'read-index': (environment, one) =>
    environment.node(id(one)).raw.readIndex(new TextEncoder().encode(bareWords(one)[1] ?? '')),
  'report-snapshot': (environment, one) => {
    const [outcome] = valuesOf(one, 'outcome');
    if (outcome !== 'finished' && outcome !== 'failed') return fail(`unknown outcome ${outcome}`);
    environment.node(id(one)).raw.reportSnapshot(id(one, 1), outcome);
  },
  restart: (environment, one) => environment.node(id(one)).restart(),
  'report-unreachable': (environment, one) => environment.node(id(one)).raw.reportUnreachable(id(one, 1)),
};

/** Runs the cases of one file. */
export class InteractionRunner {
  readonly #environment = new Environment();

  run(one: DataCase): string {
    const { output } = this.#environment;
    output.reset();
    const command = COMMANDS[one.command];
    let error = command === undefined ? 'unknown command' : '';
    try {
      command?.(this.#environment, one);
    } catch (thrown) {
      if (!(thrown instanceof CommandError)) throw thrown;
      error = thrown.message;
    }
    // Errors show at every log level.
    if (output.quiet && error !== '') return error;
    const text = output.text + error;
    return text === '' ? 'ok' : text;
  }
}
