import { confState, NO_DATA, type RaftConfig, type ReadOnlyOption } from '../../src/index.ts';
import { type DataCase, FormatError, toBoolean, toNumber, valuesOf } from '../data-file.ts';
import type { Environment } from './environment.ts';

type NodeConfig = Omit<RaftConfig, 'id' | 'storage' | 'logger'>;

const READ_ONLY: Readonly<Record<string, ReadOnlyOption>> = { safe: 'safe', 'lease-based': 'leaseBased' };

/** No transcript depends on the draw of an election timeout, so there is no chance in it. */
const BASE: NodeConfig = {
  random: () => 0,
  electionTick: 3,
  heartbeatTick: 1,
  maxInflightMessages: 2 ** 31 - 1,
};

function readConfig(one: DataCase): NodeConfig {
  let config = BASE;
  const option = (key: string, take: (value: string) => Partial<NodeConfig>): void => {
    for (const value of valuesOf(one, key)) config = { ...config, ...take(value) };
  };
  option('index', (value) => ({ applied: toNumber(value) }));
  option('inflight', (value) => ({ maxInflightMessages: toNumber(value) }));
  option('async-storage-writes', (value) => ({ asyncStorageWrites: toBoolean(value) }));
  option('prevote', (value) => ({ preVote: toBoolean(value) }));
  option('checkquorum', (value) => ({ checkQuorum: toBoolean(value) }));
  option('max-committed-size-per-ready', (value) => ({ maxCommittedBytesPerReady: toNumber(value) }));
  option('disable-conf-change-validation', (value) => ({ disableConfChangeValidation: toBoolean(value) }));
  option('step-down-on-removal', (value) => ({ stepDownOnRemoval: toBoolean(value) }));
  option('max-uncommitted-size', (value) => ({ maxUncommittedBytes: toNumber(value) }));
  option('max-size-per-msg', (value) => ({ maxBytesPerMessage: toNumber(value) }));
  option('disable-proposal-forwarding', (value) => ({ disableProposalForwarding: toBoolean(value) }));
  option('read-only', (value) => {
    const readOnly = READ_ONLY[value];
    if (readOnly === undefined) throw new FormatError(`invalid read-only option "${value}"`);
    return { readOnly };
  });
  return config;
}

/** Adds nodes with the next ids, all made from the same snapshot if one is described. */
export function addNodes(environment: Environment, one: DataCase, count: number): void {
  const voters = valuesOf(one, 'voters').map(toNumber);
  const learners = valuesOf(one, 'learners').map(toNumber);
  const content = valuesOf(one, 'content')[0] ?? '';
  const index = toNumber(valuesOf(one, 'index')[0] ?? '0');
  const bootstrap = voters.length > 0 || learners.length > 0 || index > 0 || content !== '';
  if (bootstrap && index <= 1) throw new FormatError('index must be specified as > 1 due to bootstrap');
  const first = {
    index,
    term: bootstrap ? 1 : 0,
    confState: confState({ voters, learners }),
    data: content === '' ? NO_DATA : new TextEncoder().encode(content),
  };
  const config = readConfig(one);
  for (let i = 0; i < count; i++) environment.addNode(config, first);
}
