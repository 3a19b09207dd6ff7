import type { ChannelCredentials } from '@grpc/grpc-js';
import { GrpcTransport } from '#proto/grpc/grpc-transport.ts';
import { createSwarmClient, type SwarmClient } from './swarm-client.ts';

export interface RemoteOptions {
  /** host:port of a manager. */
  readonly address: string;
  /** What to show and what to trust: NodeChannelCredentials of `certs`. */
  readonly credentials: ChannelCredentials;
  /** Large windows, for streams of much data. */
  readonly bulk?: boolean | undefined;
}

/**
 * A client of a manager over TLS. Does not connect yet. In a module of its own, since grpc-js takes long to load and
 * the local socket does without it.
 */
export function connectRemote(options: RemoteOptions): SwarmClient {
  const { address, credentials, bulk } = options;
  return createSwarmClient(new GrpcTransport({ target: { kind: 'address', name: address }, credentials, bulk }));
}
