/**
 * Quorum files: `committed` and `vote` over one majority (`cfg`) or two (`cfgj`). Every result is computed in other
 * ways too, which must agree; a disagreement shows in the output.
 */
import {
  committedIndex,
  describeAcknowledged,
  describeIndex,
  jointCommittedIndex,
  jointVoteResult,
  jointVoters,
  type Majority,
  majority,
  type NodeId,
  quorumSize,
  voteResult,
} from '../src/index.ts';
import { type DataCase, FormatError, toNumber, valuesOf } from './data-file.ts';

type Acknowledgements = ReadonlyMap<NodeId, number>;

interface Voters {
  readonly incoming: Majority;
  readonly outgoing: Majority;
  readonly joint: boolean;
  /** All ids in the order given, incoming first, without repetition: the order of the values. */
  readonly order: readonly NodeId[];
}

function readVoters(one: DataCase): Voters {
  const ids = valuesOf(one, 'cfg').map(toNumber);
  const given = valuesOf(one, 'cfgj');
  const zero = given.includes('zero');
  if (zero && given.length > 1) throw new FormatError("cannot mix 'zero' into configuration");
  const idsj = zero ? [] : given.map(toNumber);
  return {
    incoming: majority(ids),
    outgoing: majority(idsj),
    joint: one.args.some((arg) => arg.key === 'cfgj'),
    order: [...new Set([...ids, ...idsj])],
  };
}

/** Values by voter; `_` says that nothing is known, and leaves its voter out. */
function assign(order: readonly NodeId[], values: readonly (number | undefined)[]): Acknowledgements {
  const assigned = new Map<NodeId, number>();
  order.forEach((id, at) => {
    const value = values[at];
    if (value !== undefined) assigned.set(id, value);
  });
  return assigned;
}

function readIndexes(one: DataCase): readonly (number | undefined)[] {
  return valuesOf(one, 'idx').map((text) => {
    if (text === '_') return undefined;
    const index = toNumber(text);
    if (index === 0) throw new FormatError('cannot use 0 as idx');
    return index;
  });
}

function readVotes(one: DataCase): readonly (number | undefined)[] {
  return valuesOf(one, 'votes').map((text) => {
    if (text === '_') return undefined;
    if (text !== 'y' && text !== 'n') throw new FormatError(`unknown vote: ${text}`);
    return text === 'y' ? 2 : 1;
  });
}

/** The same by counting, candidate by candidate. */
function committedByCounting(voters: Majority, acks: Acknowledgements): number {
  if (voters.length === 0) return Infinity;
  const candidates = voters.map((id) => acks.get(id) ?? 0).sort((a, b) => b - a);
  const enough = (index: number): boolean =>
    voters.filter((id) => (acks.get(id) ?? 0) >= index).length >= quorumSize(voters);
  return candidates.find(enough) ?? 0;
}

function checkMajority(voters: Majority, acks: Acknowledgements): string {
  const lookUp = (id: NodeId): number | undefined => acks.get(id);
  const index = committedIndex(voters, lookUp);
  let text = '';
  const compare = (other: number, how: string): void => {
    if (other !== index) text += `${describeIndex(other)} <-- ${how}\n`;
  };
  compare(committedByCounting(voters, acks), 'via alternative computation');
  compare(jointCommittedIndex({ incoming: voters, outgoing: [] }, lookUp), 'via zero-joint quorum');
  compare(jointCommittedIndex({ incoming: voters, outgoing: voters }, lookUp), 'via self-joint quorum');
  for (const id of voters) {
    const own = acks.get(id) ?? 0;
    if (own === 0 || index <= own) continue;
    // What is below the committed index does not matter.
    for (const lower of [own - 1, 0])
      compare(
        committedIndex(voters, (other) => (other === id ? lower : acks.get(other))),
        `overlaying ${id}->${lower}`,
      );
  }
  return `${describeAcknowledged(voters, lookUp)}${text}${describeIndex(index)}\n`;
}

function checkJoint({ incoming, outgoing }: Voters, acks: Acknowledgements): string {
  const lookUp = (id: NodeId): number | undefined => acks.get(id);
  const index = jointCommittedIndex({ incoming, outgoing }, lookUp);
  const other = jointCommittedIndex({ incoming: outgoing, outgoing: incoming }, lookUp);
  const symmetry = other === index ? '' : `${describeIndex(other)} <-- via symmetry\n`;
  const chart = describeAcknowledged(majority([...incoming, ...outgoing]), lookUp);
  return `${chart}${symmetry}${describeIndex(index)}\n`;
}

function checkVote({ incoming, outgoing, joint }: Voters, acks: Acknowledgements): string {
  const votes = new Map([...acks].map(([id, value]) => [id, value === 2] as const));
  if (!joint) return `${voteResult(incoming, votes)}\n`;
  const result = jointVoteResult({ incoming, outgoing }, votes);
  const other = jointVoteResult({ incoming: outgoing, outgoing: incoming }, votes);
  return `${other === result ? '' : `${other} <-- via symmetry\n`}${result}\n`;
}

export function runQuorumCase(one: DataCase): string {
  if (one.command !== 'committed' && one.command !== 'vote') throw new FormatError(`unknown command: ${one.command}`);
  const voters = readVoters(one);
  const values = one.command === 'vote' ? readVotes(one) : readIndexes(one);
  const all = jointVoters(voters);
  if (all.length !== values.length && voters.order.length !== values.length) {
    const ids = voters.order.toSorted((a, b) => a - b).map((id) => `${id}:{}`);
    return `error: mismatched input (explicit or _) for voters map[${ids.join(' ')}]: [${values.map((value) => value ?? 0).join(' ')}]`;
  }
  const acks = assign(voters.order, values);
  if (one.command === 'vote') return checkVote(voters, acks);
  return voters.joint ? checkJoint(voters, acks) : checkMajority(voters.incoming, acks);
}
