import { SwarmError } from '#common/errors.ts';
import type { MethodDefinition } from '../codec.ts';
import { bytesOf } from '../encode-once.ts';
import type { CallContext } from './call-context.ts';
import type { Caller, PeerIdentity } from './caller.ts';
import { RPC_CONFIG } from './config.ts';
import { isCutMark } from './cut-mark.ts';
import { cancelledError, checkSize } from './errors.ts';
import type { IncomingCall, IncomingListener } from './incoming-call.ts';
import { MessageQueue } from './message-queue.ts';
import type { ResponseStream } from './methods.ts';
import { WriteGate } from './write-gate.ts';

/** A handler whose types were checked when it was added. */
export type AnyHandler = (
  request: unknown,
  context: CallContext,
  responses: ResponseStream<unknown>,
) => Promise<unknown> | AsyncIterable<unknown>;

/** What who writes too late is told; made once, since a call that goes well ends with it too. */
const CALL_ENDED = cancelledError('the call has ended');

/** Who made a call, and how it came. */
export type CallOrigin = Pick<CallContext, 'caller' | 'forwardedBy' | 'peer'>;

/** One call on the server: feeds the handler and sends what it answers. */
export class ServerCall implements CallContext, ResponseStream<unknown>, IncomingListener {
  readonly caller: Caller;
  readonly forwardedBy: PeerIdentity | undefined;
  readonly path: string;
  readonly peer: string;
  readonly deadlineMs: number | undefined;
  readonly #method: MethodDefinition;
  readonly #stream: IncomingCall;
  readonly #requests: MessageQueue<Uint8Array>;
  readonly #gate: WriteGate;
  /** Made when somebody asks for the signal: most handlers do not. */
  #controller: AbortController | undefined;
  /** Why the call was aborted. */
  #aborted: SwarmError | undefined;
  #settled = false;

  constructor(method: MethodDefinition, stream: IncomingCall, origin: CallOrigin) {
    this.caller = origin.caller;
    this.forwardedBy = origin.forwardedBy;
    this.path = method.path;
    this.peer = origin.peer;
    this.deadlineMs = stream.deadlineMs;
    this.#method = method;
    this.#stream = stream;
    this.#requests = new MessageQueue<Uint8Array>(
      // A handler that has read enough may still answer, so what follows is dropped and the call goes on.
      { pause: () => stream.pause(), resume: () => stream.resume(), cancel: () => stream.resume() },
      RPC_CONFIG.messagesAhead,
    );
    this.#gate = new WriteGate((bytes) => stream.write(bytes), RPC_CONFIG.writesAhead);
    stream.listen(this);
  }

  message(bytes: Uint8Array): void {
    this.#requests.push(bytes);
  }

  ended(): void {
    this.#requests.finish();
  }

  drained(): void {
    this.#gate.drained();
  }

  broken(error: SwarmError): void {
    this.abort(error);
  }

  closed(): void {
    if (!this.#settled) this.abort(cancelledError('the caller cancelled the call or went away'));
  }

  /** Whether more than one message goes in a direction: such a call may last as long as both sides do. */
  get isStream(): boolean {
    return this.#method.requestStream || this.#method.responseStream;
  }

  get signal(): AbortSignal {
    if (this.#controller === undefined) {
      this.#controller = new AbortController();
      if (this.#aborted !== undefined) this.#controller.abort(this.#aborted);
    }
    return this.#controller.signal;
  }

  /** Serves the call. Never rejects: gives the error that the caller was told, if there was one. */
  async serve(handler: AnyHandler): Promise<SwarmError | undefined> {
    try {
      const request = this.#method.requestStream ? this.#decoded() : await this.#onlyRequest();
      const answer = handler(request, this, this);
      if (!this.#method.responseStream) {
        this.#answer(await answer);
        return undefined;
      }
      if (Symbol.asyncIterator in answer) await this.#pump(answer);
      else await answer;
      this.#settle();
      this.#stream.end();
      return undefined;
    } catch (thrown) {
      const error = SwarmError.from(thrown);
      if (this.#settled) return error;
      this.#settle();
      this.#stream.failAfterMessages(error);
      return error;
    }
  }

  write(message: unknown): Promise<void> {
    try {
      return this.#gate.write(this.#encode(message));
    } catch (error) {
      return Promise.reject(error);
    }
  }

  #answer(message: unknown): void {
    const bytes = this.#encode(message);
    if (this.#settled) throw this.#aborted ?? CALL_ENDED;
    this.#settle();
    this.#stream.answer(bytes);
  }

  #encode(message: unknown): Uint8Array {
    const { response } = this.#method;
    const bytes = bytesOf(response, message);
    checkSize(response.typeName, bytes);
    return bytes;
  }

  /** Ends the call from outside: the caller has gone, or the server closes and says why. */
  abort(error: SwarmError): void {
    if (this.#settled) return;
    this.#gate.close(error);
    this.#requests.finish(error);
    this.#aborted = error;
    this.#controller?.abort(error);
    this.#settle();
    this.#stream.fail(error);
  }

  async #onlyRequest(): Promise<unknown> {
    const first = await this.#requests.next();
    if (first.done === true)
      throw new SwarmError({ code: 'invalid', reason: 'bad-message', message: `${this.path} came without a request` });
    const second = await this.#requests.next();
    if (second.done !== true)
      throw new SwarmError({ code: 'invalid', reason: 'bad-message', message: `${this.path} came with two requests` });
    return this.#method.request.decode(first.value);
  }

  async *#decoded(): AsyncGenerator<unknown> {
    for await (const bytes of this.#requests) {
      if (isCutMark(bytes)) throw cancelledError('the caller cancelled the call before its end');
      yield this.#method.request.decode(bytes);
    }
  }

  /** Sends what the handler yields. */
  async #pump(answers: AsyncIterable<unknown>): Promise<void> {
    const iterator = answers[Symbol.asyncIterator]();
    const stop = (): void => void iterator.return?.()?.catch(() => {});
    this.signal.addEventListener('abort', stop, { once: true });
    try {
      for (;;) {
        const result = await iterator.next();
        if (result.done === true) break;
        await this.write(result.value);
      }
    } catch (error) {
      stop();
      throw error;
    } finally {
      this.signal.removeEventListener('abort', stop);
    }
  }

  #settle(): void {
    this.#settled = true;
    this.#gate.close(CALL_ENDED);
    this.#requests.finish();
  }
}
