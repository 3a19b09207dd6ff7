import { connect } from 'node:net';
import { Http2Transport } from './http2-transport.ts';

/** The local socket, for the command line: loading grpc-js takes longer than the whole call. */
export class SocketTransport extends Http2Transport {
  constructor(path: string) {
    super({ target: { kind: 'socket', name: path }, connect: () => connect(path), scheme: 'http' });
  }
}
