/** A connection to a resolver process: requests go out in order, each has its reply. */
import { connect, type Socket } from 'node:net';
import { SwarmError } from '#common/errors.ts';
import { withDeadline } from '#common/system/deadline.ts';
import { ResolverReply, ResolverRequest } from '#gen/swarm/v1/resolver.ts';
import { FrameReader, frame } from '../control/frames.ts';

type Request = NonNullable<ResolverRequest['request']>;

interface Pending {
  readonly resolve: (reply: ResolverReply) => void;
  readonly reject: (error: SwarmError) => void;
}

function lost(): SwarmError {
  return new SwarmError({
    code: 'unavailable',
    reason: 'connection-failed',
    message: 'the resolver process ended or closed the connection',
  });
}

export class ResolverLink {
  readonly #socket: Socket;
  readonly #pending = new Map<number, Pending>();
  #sequence = 0;
  /** Resolves when the connection is gone, for whatever reason. */
  readonly closed: Promise<void>;

  private constructor(socket: Socket) {
    this.#socket = socket;
    const reader = new FrameReader();
    this.closed = new Promise((resolve) => {
      socket.once('close', () => {
        for (const { reject } of this.#pending.values()) reject(lost());
        this.#pending.clear();
        resolve();
      });
    });
    socket.on('data', (chunk) => {
      try {
        for (const message of reader.push(chunk)) this.#take(ResolverReply.decode(message));
      } catch {
        socket.destroy();
      }
    });
  }

  /** Undefined when nobody listens there. */
  static open(path: string): Promise<ResolverLink | undefined> {
    return new Promise((resolve) => {
      const socket = connect(path);
      socket.once('connect', () => resolve(new ResolverLink(socket)));
      socket.on('error', () => {
        socket.destroy();
        resolve(undefined);
      });
    });
  }

  /** Rejects with `connection-failed` when the connection goes, with `timeout` when there is no reply in time. */
  request(request: Request, timeoutMs: number): Promise<ResolverReply> {
    const sequence = ++this.#sequence;
    const replied = new Promise<ResolverReply>((resolve, reject) => {
      if (this.#socket.destroyed) {
        reject(lost());
        return;
      }
      this.#pending.set(sequence, { resolve, reject });
      this.#socket.write(frame(ResolverRequest.encode(ResolverRequest.create({ sequence, request }))));
    });
    return withDeadline(replied, timeoutMs, 'the resolver process').finally(() => this.#pending.delete(sequence));
  }

  close(): void {
    this.#socket.destroy();
  }

  #take(reply: ResolverReply): void {
    this.#pending.get(reply.sequence)?.resolve(reply);
  }
}
