/** Goal: a response also ends on a Node whose streams are made otherwise. Method: a stream without a binding. */
import assert from 'node:assert/strict';
import { EventEmitter } from 'node:events';
import type { ServerHttp2Stream } from 'node:http2';
import { endBehindOnlyMessage } from '#proto/grpc/response-end.ts';

describe('the end of a response', () => {
  it('is sent in the public way where the binding is not found', () => {
    const sent: unknown[] = [];
    const stream = Object.assign(new EventEmitter(), {
      end: () => {},
      _final: () => {},
      sendTrailers: (trailers: unknown) => sent.push(trailers),
    });
    endBehindOnlyMessage(stream as unknown as ServerHttp2Stream);
    assert.deepEqual(sent, []);
    stream.emit('wantTrailers');
    assert.deepEqual(sent, [{ 'grpc-status': 0 }]);
  });
});
