import type { Message } from 'raft-ts';
import type { Clock } from '#common/clock.ts';
import { SwarmError } from '#common/errors.ts';
import { withDeadline } from '#common/system/deadline.ts';
import { RaftService, SendSnapshotRequest } from '#gen/swarm/v1/raft.ts';
import type { RawCall, Transport } from '#proto/grpc/transport.ts';
import type { PeerTransportConfig } from './config.ts';
import { toWire } from './message-codec.ts';

type Request = NonNullable<SendSnapshotRequest['message']>;

/**
 * Sends a snapshot over the transport, which carries nothing else. Resolves when it is durable on the other side. There
 * is no limit to the whole: as long as every piece is taken in its time, a slow link may take an hour.
 */
export async function sendSnapshot(
  message: Message,
  chunks: AsyncIterable<Uint8Array>,
  transport: Transport,
  config: PeerTransportConfig,
  clock: Clock,
): Promise<void> {
  const call = transport.open(RaftService.sendSnapshot.path, { timeoutMs: undefined });
  const answer = firstAnswer(call);
  // Awaited below; until then what fails the call also fails the writes.
  answer.catch(() => {});
  const write = async (request: Request): Promise<void> => {
    const written = call.write(SendSnapshotRequest.encode({ message: request }));
    try {
      await withDeadline(written, config.snapshotPartTimeoutMs, 'the next piece of a snapshot to be taken', clock);
    } catch (error) {
      if (SwarmError.from(error).code === 'deadline') throw error;
      // The call has ended, and its answer says why; one that was no error would have come too soon.
      await answer;
      throw error;
    }
  };
  await write({ kind: 'header', value: toWire(message) });
  let count = 0;
  for await (const chunk of chunks) {
    for (const [bytes, isLast] of pieces(chunk, config.snapshotPartBytes))
      await write({ kind: isLast ? 'chunk' : 'part', value: bytes });
    count++;
  }
  await write({ kind: 'end', value: count });
  call.end();
  await withDeadline(answer, config.snapshotAnswerTimeoutMs, 'a snapshot to be made durable', clock);
}

async function firstAnswer(call: RawCall): Promise<void> {
  const first = await call.messages.next();
  if (first.done === true)
    throw new SwarmError({ code: 'internal', reason: 'internal', message: 'a snapshot was not answered' });
}

/** Views of the chunk, none larger than `bytesMax`, and whether each is the last. An empty chunk is one piece. */
function* pieces(chunk: Uint8Array, bytesMax: number): Generator<readonly [Uint8Array, boolean]> {
  let start = 0;
  for (; start + bytesMax < chunk.length; start += bytesMax) yield [chunk.subarray(start, start + bytesMax), false];
  yield [chunk.subarray(start), true];
}
