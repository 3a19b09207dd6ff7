export { DEFAULT_RAFT_CONFIG, type RaftConfig, type RaftTuning } from './config.ts';
export { type ForceNewClusterOptions, forceNewCluster } from './force-new-cluster.ts';
export type { NewMember } from './member-changes.ts';
export type { PeerHandler, PeerState, PeerTransport } from './peer-transport.ts';
export type { NextTurn } from './pump.ts';
export { type JoinedAs, type LogMember, type LogOrigin, RaftLog, type RaftLogOptions } from './raft-log.ts';
export { GrpcPeerTransport, type GrpcPeerTransportOptions } from './transport/grpc-peer-transport.ts';
export { raftHandlers } from './transport/raft-handlers.ts';
