/** One question to a server by TCP: for answers that do not fit into a datagram, which are few. */
import { connect } from 'node:net';
import type { Clock } from '#common/clock.ts';
import { read16 } from '../answer/wire.ts';

/** Undefined when no good answer came in time. Never rejects. */
export function askByTcp(
  query: Buffer,
  server: string,
  port: number,
  timeoutMs: number,
  accepts: (message: Buffer) => boolean,
  clock: Clock,
): Promise<Buffer | undefined> {
  return new Promise((resolve) => {
    const socket = connect({ host: server, port, noDelay: true });
    let received = Buffer.alloc(0);
    const finish = (message: Buffer | undefined): void => {
      cancel();
      socket.destroy();
      resolve(message);
    };
    const cancel = clock.setTimer(timeoutMs, () => finish(undefined));
    socket.on('connect', () => {
      const length = Buffer.alloc(2);
      length.writeUInt16BE(query.length);
      socket.write(Buffer.concat([length, query]));
    });
    socket.on('data', (chunk) => {
      received = Buffer.concat([received, chunk]);
      if (received.length < 2) return;
      const end = 2 + read16(received, 0);
      if (received.length < end) return;
      const message = received.subarray(2, end);
      finish(read16(message, 0) === read16(query, 0) && accepts(message) ? message : undefined);
    });
    socket.on('error', () => finish(undefined));
    socket.on('close', () => finish(undefined));
  });
}
