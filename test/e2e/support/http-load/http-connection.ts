import { connect, type Socket } from 'node:net';
import type { FailureKind } from './load-report.ts';

/** What came of one request. */
export type Answer =
  | { readonly kind: 'answered'; readonly body: string; readonly closes: boolean }
  | {
      readonly kind: 'failed';
      readonly failure: FailureKind;
      readonly detail: string;
      /** Nothing of an answer had come. */
      readonly isUnanswered: boolean;
    };

interface Head {
  readonly status: number;
  /** Undefined: the body ends with the connection. */
  readonly length: number | undefined;
  readonly closes: boolean;
  /** Where the body begins. */
  readonly end: number;
}

const HEAD_END = '\r\n\r\n';

/** A connection of HTTP/1.1 that is asked one thing at a time. Every way in which it can fail has a name. */
export class HttpConnection {
  readonly #socket: Socket;
  readonly #timeoutMs: number;
  #received: Buffer[] = [];
  #size = 0;
  /** Looks at what has come; set while a request is under way. */
  #settle: ((event: 'data' | 'end' | 'timeout' | NodeJS.ErrnoException) => void) | undefined;
  #ended: 'end' | NodeJS.ErrnoException | undefined;
  answers = 0;
  readonly #connectedAtMs = performance.now();

  private constructor(socket: Socket, timeoutMs: number) {
    this.#socket = socket;
    this.#timeoutMs = timeoutMs;
    socket.setNoDelay(true);
    socket.on('data', (bytes: Buffer) => {
      this.#received.push(bytes);
      this.#size += bytes.length;
      this.#settle?.('data');
    });
    socket.on('end', () => this.#end('end'));
    socket.on('error', (error) => this.#end(error));
  }

  /** Connects. Rejects with the socket's error, or one of the code ETIMEDOUT. */
  static open(host: string, port: number, timeoutMs: number): Promise<HttpConnection> {
    return new Promise((resolve, reject) => {
      const socket = connect({ host, port, allowHalfOpen: true });
      const timer = setTimeout(() => {
        socket.destroy();
        reject(Object.assign(new Error(`no connection in ${timeoutMs} ms`), { code: 'ETIMEDOUT' }));
      }, timeoutMs);
      socket.once('error', (error) => {
        clearTimeout(timer);
        reject(error);
      });
      socket.once('connect', () => {
        clearTimeout(timer);
        resolve(new HttpConnection(socket, timeoutMs));
      });
    });
  }

  get localPort(): number {
    return this.#socket.localPort ?? 0;
  }

  get ageMs(): number {
    return performance.now() - this.#connectedAtMs;
  }

  /** Whether the other side has closed it: between two requests that is its right. */
  get isEnded(): boolean {
    return this.#ended !== undefined;
  }

  close(): void {
    this.#socket.destroy();
  }

  /** Sends a request and waits for the whole answer. */
  ask(request: string): Promise<Answer> {
    this.#received = [];
    this.#size = 0;
    return new Promise((resolve) => {
      const finish = (answer: Answer): void => {
        clearTimeout(timer);
        this.#settle = undefined;
        if (answer.kind === 'answered') this.answers++;
        resolve(answer);
      };
      const timer = setTimeout(() => this.#settle?.('timeout'), this.#timeoutMs);
      this.#settle = (event) => {
        const answer = event === 'data' ? this.#complete(false) : this.#broken(event);
        if (answer !== undefined) finish(answer);
      };
      this.#socket.write(request, 'latin1');
      if (this.#ended !== undefined) this.#settle(this.#ended);
    });
  }

  #end(how: 'end' | NodeJS.ErrnoException): void {
    this.#ended = how;
    this.#settle?.(how);
  }

  #broken(event: 'end' | 'timeout' | NodeJS.ErrnoException): Answer {
    const answer = event === 'timeout' ? undefined : this.#complete(true);
    if (answer !== undefined) return answer;
    const isUnanswered = this.#size === 0;
    const detail = `${this.#size} bytes had come`;
    if (event === 'end') return { kind: 'failed', failure: isUnanswered ? 'ended' : 'short', detail, isUnanswered };
    if (event === 'timeout') return { kind: 'failed', failure: 'timeout', detail, isUnanswered };
    return { kind: 'failed', failure: failureOf(event), detail: `${event.message}; ${detail}`, isUnanswered };
  }

  /** The answer, once it is whole. */
  #complete(hasEnded: boolean): Answer | undefined {
    const bytes = this.#received.length === 1 ? this.#received[0] : Buffer.concat(this.#received);
    const text = bytes?.toString('latin1') ?? '';
    const head = parseHead(text);
    if (head === undefined) return undefined;
    const body = text.slice(head.end);
    if (body.length < (head.length ?? 0)) return undefined;
    // A server that says so closes by itself. Who closes first keeps the pair of ports for a minute: not the client.
    if (!hasEnded && (head.closes || head.length === undefined)) return undefined;
    if (head.status === 200) return { kind: 'answered', body, closes: head.closes || hasEnded };
    return { kind: 'failed', failure: 'status', detail: String(head.status), isUnanswered: false };
  }
}

function parseHead(text: string): Head | undefined {
  const end = text.indexOf(HEAD_END);
  if (end < 0) return undefined;
  const [first = '', ...lines] = text.slice(0, end).split('\r\n');
  const fields = new Map(lines.map((line) => splitField(line)));
  const length = fields.get('content-length');
  return {
    status: Number(first.split(' ')[1]),
    length: length === undefined ? undefined : Number(length),
    closes: fields.get('connection')?.toLowerCase() === 'close' || first.startsWith('HTTP/1.0'),
    end: end + HEAD_END.length,
  };
}

function splitField(line: string): readonly [string, string] {
  const colon = line.indexOf(':');
  return [line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim()];
}

const FAILURES: Readonly<Record<string, FailureKind>> = {
  ECONNREFUSED: 'refused',
  ECONNRESET: 'reset',
  EPIPE: 'reset',
  ETIMEDOUT: 'timeout',
  EHOSTUNREACH: 'unreachable',
  ENETUNREACH: 'unreachable',
  ENOTFOUND: 'name',
  ENODATA: 'name',
};

export function failureOf(error: NodeJS.ErrnoException): FailureKind {
  return FAILURES[error.code ?? ''] ?? 'other';
}
