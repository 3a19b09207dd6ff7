import { LIMITS } from '#common/limits.ts';

/** Tuning of gRPC: what both ends use. */
export const RPC_CONFIG = {
  /** A unary call that nobody gave a deadline: longer than any decision and its commit, shorter than patience. */
  unaryTimeoutMs: 30_000,
  /** A connection that carries nothing is asked for a sign of life this often; NATs forget after 30 s and more. */
  keepaliveTimeMs: 10_000,
  keepaliveTimeoutMs: 5_000,
  /** A lost connection is tried again after this, doubling up to the maximum: a manager restarts within a second. */
  reconnectBackoffMs: 200,
  reconnectBackoffMaxMs: 5_000,
  /** Streams of one connection. An agent needs five; a tool that lists in parallel some dozens. */
  streamsPerConnection: 256,
  /** HTTP/2 window of bulk streams (images): 190 MB/s with the default of 64 KiB, 650 MB/s with this. */
  bulkWindowBytes: 4 * 1024 * 1024,
  /** Received messages that wait for their reader before the sender is slowed down. */
  messagesAhead: 16,
  /** Writes that one stream accepts without being awaited. */
  writesAhead: 1024,
  /** Time that a closing server gives the calls in flight. */
  closeGraceMs: 2_000,
  /** Of one turn of the loop, for first calls of connections. */
  firstCallsSliceMs: 5,
  /** Connections that the kernel keeps until they are accepted: the agents of a large swarm come at once. */
  backlog: 4_096,
} as const;

/** Options of grpc-js that clients and servers share. */
export function messageOptions(bulk: boolean): Readonly<Record<string, number>> {
  return {
    'grpc.max_receive_message_length': LIMITS.MESSAGE_BYTES,
    'grpc.max_send_message_length': LIMITS.MESSAGE_BYTES,
    'grpc.keepalive_time_ms': RPC_CONFIG.keepaliveTimeMs,
    'grpc.keepalive_timeout_ms': RPC_CONFIG.keepaliveTimeoutMs,
    'grpc.enable_channelz': 0,
    ...(bulk ? { 'grpc-node.flow_control_window': RPC_CONFIG.bulkWindowBytes } : {}),
  };
}
