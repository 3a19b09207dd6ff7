/** `state.json` of a node: what it has to know beside its certificate. */
import { SwarmError } from '#common/errors.ts';
import { MANAGERS_MAX } from './config.ts';

export interface KnownManager {
  readonly nodeId: string;
  /** host:port for cluster RPC. */
  readonly address: string;
}

/** As given at init or join; empty means the default. */
export interface NodeAddresses {
  readonly listen: string;
  readonly advertise: string;
  readonly dataPath: string;
}

/** Where this state directory was made. */
export interface HomeBinding {
  readonly machine: string | undefined;
  readonly product: string | undefined;
  /** Inode of the directory `node`: a copy has another one. */
  readonly inode: string;
}

export interface NodeState {
  readonly managers: readonly KnownManager[];
  readonly addresses: NodeAddresses;
  readonly home: HomeBinding;
}

const FORMAT = 1;

export function encodeNodeState(state: NodeState): string {
  const managers = state.managers.slice(0, MANAGERS_MAX);
  return `${JSON.stringify({ format: FORMAT, ...state, managers }, undefined, 2)}\n`;
}

/** `path` is for errors. Fields that this version does not know are passed over. */
export function decodeNodeState(text: string, path: string): NodeState {
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch (error) {
    throw damaged(path, 'is not JSON', error);
  }
  const root = record(parsed, path, 'the file');
  if (root['format'] !== FORMAT) throw damaged(path, `is of format ${JSON.stringify(root['format'])}, not ${FORMAT}`);
  const addresses = record(root['addresses'], path, 'addresses');
  const home = record(root['home'], path, 'home');
  const { managers } = root;
  if (!Array.isArray(managers)) throw damaged(path, 'has no list of managers');
  return {
    managers: managers.slice(0, MANAGERS_MAX).map((entry) => {
      const manager = record(entry, path, 'a manager');
      return {
        nodeId: requiredText(manager['nodeId'], path, 'nodeId'),
        address: requiredText(manager['address'], path, 'address'),
      };
    }),
    addresses: {
      listen: requiredText(addresses['listen'], path, 'listen'),
      advertise: requiredText(addresses['advertise'], path, 'advertise'),
      dataPath: requiredText(addresses['dataPath'], path, 'dataPath'),
    },
    home: {
      machine: optionalText(home['machine'], path, 'machine'),
      product: optionalText(home['product'], path, 'product'),
      inode: requiredText(home['inode'], path, 'inode'),
    },
  };
}

function record(value: unknown, path: string, what: string): Readonly<Record<string, unknown>> {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Record<string, unknown>;
  throw damaged(path, `${what} is not an object`);
}

function optionalText(value: unknown, path: string, what: string): string | undefined {
  return value === undefined ? undefined : requiredText(value, path, what);
}

function requiredText(value: unknown, path: string, what: string): string {
  if (typeof value === 'string' && value.length <= 1024) return value;
  throw damaged(path, `${what} is not a text`);
}

function damaged(path: string, problem: string, cause?: unknown): SwarmError {
  return new SwarmError({
    code: 'data-loss',
    reason: 'corrupt-state',
    message: `${path} is damaged: ${problem}`,
    hint: 'restore the state directory from a backup, or run `swarm leave --force` and join again',
    cause,
  });
}
