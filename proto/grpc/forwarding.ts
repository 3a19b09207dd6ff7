/** How a manager that passes a call on to the leader says who made it. */
import { SwarmError } from '#common/errors.ts';
import { isId } from '#common/ids.ts';
import { ForwardedCaller, ForwardedClient, ForwardedNode } from '#gen/swarm/v1/forwarding.ts';
import { NodeRole } from '#gen/swarm/v1/specs.ts';
import { CLIENT_ROLES, clientRoleName } from '../client-roles.ts';
import type { CallContext } from './call-context.ts';
import type { Caller, NodeRoleName } from './caller.ts';
import type { CallMetadata } from './transport.ts';

/** Metadata of a call that is passed on: a `ForwardedCaller`. */
export const FORWARDED_KEY = 'starling-forwarded-for-bin';

/** Ids, a serial and an address: some 200 bytes. */
const FORWARDED_BYTES_MAX = 1024;
/** `host:port`, an IPv6 address with its zone and brackets included. */
const PEER_LENGTH_MAX = 128;

export interface ForwardedCall {
  readonly caller: Caller;
  readonly peer: string;
}

/** Metadata for passing the call on with its caller. */
export function forwardingMetadata({ caller, peer }: Pick<CallContext, 'caller' | 'peer'>): CallMetadata {
  return { [FORWARDED_KEY]: ForwardedCaller.encode(ForwardedCaller.create({ caller: encodedCaller(caller), peer })) };
}

function encodedCaller(caller: Caller): ForwardedCaller['caller'] {
  if (caller.kind === 'client')
    return { kind: 'client', value: ForwardedClient.create({ ...caller, role: CLIENT_ROLES[caller.role] }) };
  if (caller.kind !== 'node') return { kind: caller.kind, value: {} };
  const role = caller.role === 'manager' ? NodeRole.MANAGER : NodeRole.WORKER;
  return { kind: 'node', value: ForwardedNode.create({ ...caller, role }) };
}

/** Reads the values of the metadata. @throws SwarmError `bad-message` for anything but one well-formed caller. */
export function readForwardedCall(values: readonly (string | Uint8Array)[]): ForwardedCall {
  const [value] = values;
  if (values.length !== 1 || value === undefined || typeof value === 'string') throw malformed('it is not one value');
  if (value.length > FORWARDED_BYTES_MAX) throw malformed('it is too long');
  let message: ForwardedCaller;
  try {
    message = ForwardedCaller.decode(value);
  } catch (error) {
    throw malformed(SwarmError.from(error).message);
  }
  const { peer } = message;
  if (peer.length > PEER_LENGTH_MAX || !/^[\x21-\x7e]*$/.test(peer)) throw malformed('its address is none');
  return { caller: decodedCaller(message.caller), peer };
}

function decodedCaller(caller: ForwardedCaller['caller']): Caller {
  switch (caller?.kind) {
    case 'local':
      return { kind: 'local' };
    case 'anonymous':
      return { kind: 'anonymous' };
    case 'node': {
      const { nodeId, clusterId, serial, notBeforeMs, notAfterMs, issuerKeyId } = caller.value;
      const role = ROLES.get(caller.value.role);
      if (role === undefined) throw malformed('its role is unknown');
      if (!isId(nodeId) || !isId(clusterId)) throw malformed('its ids are none');
      return { kind: 'node', nodeId, role, clusterId, serial, notBeforeMs, notAfterMs, issuerKeyId };
    }
    case 'client': {
      const { clientId, clusterId, serial, notBeforeMs, notAfterMs, issuerKeyId } = caller.value;
      const role = clientRoleName(caller.value.role);
      if (role === undefined) throw malformed('its role is unknown');
      if (!isId(clientId) || !isId(clusterId)) throw malformed('its ids are none');
      return { kind: 'client', clientId, role, clusterId, serial, notBeforeMs, notAfterMs, issuerKeyId };
    }
    case undefined: // also a kind of a newer release, which this one could not judge
      throw malformed('it names no caller');
  }
}

const ROLES: ReadonlyMap<NodeRole, NodeRoleName> = new Map([
  [NodeRole.MANAGER, 'manager'],
  [NodeRole.WORKER, 'worker'],
]);

function malformed(why: string): SwarmError {
  return new SwarmError({
    code: 'invalid',
    reason: 'bad-message',
    message: `the forwarded caller cannot be read: ${why}`,
    hint: 'compare the versions of the managers: `swarm version`',
  });
}
