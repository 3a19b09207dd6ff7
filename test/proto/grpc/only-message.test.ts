/** Goal: a response also ends on a Node whose streams are made otherwise. Method: a stream without a binding. */
import assert from 'node:assert/strict';
import { EventEmitter } from 'node:events';
import { endWithMessage } from '#proto/grpc/only-message.ts';

describe('the only message of a response', () => {
  it('is followed by its status in the public way where the binding is not found', () => {
    const said: unknown[] = [];
    const stream = Object.assign(new EventEmitter(), {
      _write: (bytes: Buffer) => said.push(bytes.toString()),
      end: () => said.push('end'),
      sendTrailers: (trailers: unknown) => said.push(trailers),
    });
    endWithMessage(stream, Buffer.from('message'));
    assert.deepEqual(said.splice(0), ['message', 'end']);
    stream.emit('wantTrailers');
    assert.deepEqual(said, [{ 'grpc-status': 0 }]);
  });
});
