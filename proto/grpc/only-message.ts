import type { OutgoingHttpHeaders } from 'node:http2';
import { STATUS } from './errors.ts';

/** A `ServerHttp2Stream`, as far as it takes part. */
export interface EndingStream {
  once(event: 'wantTrailers', listener: () => void): unknown;
  _write(chunk: Buffer, encoding: BufferEncoding, written: () => void): void;
  end(): unknown;
  sendTrailers(headers: OutgoingHttpHeaders): void;
}

/**
 * Ends a response whose headers were given with its only message, so that headers, message and trailers go out together.
 * Left to itself, node:http2 ends the stream when the message has been written, and sends the trailers a turn of the event
 * loop after that: twice the writes, and a caller that is woken up twice. Here the message also goes past the buffer of
 * the stream, which would make an error, stack and all, of a stream that is closed before the write is reported.
 *
 * Two steps of this are no part of Node's public interface, and so asserted by the tests: `_write` is called from
 * outside; and the stream's binding takes trailers while it asks for them, as nghttp2 allows. Where the binding is not
 * found, the public way is taken.
 */
export function endWithMessage(stream: EndingStream, framed: Buffer): void {
  stream.once('wantTrailers', () => {
    const binding = bindingOf(stream);
    if (binding === undefined) stream.sendTrailers({ 'grpc-status': STATUS.ok });
    else binding.trailers(OK_TRAILERS);
  });
  // A write that fails destroys the stream, which is told as its end.
  stream._write(framed, 'buffer' as BufferEncoding, () => {});
  stream.end();
}

/** Name, value and flags of each header, as Node hands them to nghttp2; and how many there are. */
const OK_TRAILERS = [`grpc-status\0${STATUS.ok}\0\0`, 1] as const;

interface StreamBinding {
  readonly trailers: (headers: readonly [string, number]) => number;
}

let bindingKey: symbol | undefined;

function bindingOf(stream: EndingStream): StreamBinding | undefined {
  bindingKey ??= Object.getOwnPropertySymbols(stream).find(({ description }) => description === 'kHandle');
  if (bindingKey === undefined) return undefined;
  const binding = Reflect.get(stream, bindingKey) as Partial<StreamBinding> | undefined;
  return typeof binding?.trailers === 'function' ? (binding as StreamBinding) : undefined;
}
