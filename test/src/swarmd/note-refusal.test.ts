/** Goal: the audit log is told of calls that were refused for who called, of no others, and nothing breaks without one. */
import assert from 'node:assert/strict';
import { type ErrorCode, SwarmError } from '#common/errors.ts';
import { noteRefusal } from '#src/swarmd/note-refusal.ts';

describe('refused calls', () => {
  const call = (code: ErrorCode | undefined) => ({
    path: '/swarm.v1.ControlService/UpdateNode',
    caller: { kind: 'anonymous' as const },
    peer: '192.0.2.7:40312',
    error: code && new SwarmError({ code, reason: 'wrong-role', message: 'no' }),
  });

  it('are noted when they are refused for who called', () => {
    const noted: unknown[] = [];
    const manager = { audit: { refused: (refusal: unknown) => void noted.push(refusal) } };
    for (const code of [undefined, 'invalid', 'unavailable', 'cancelled', 'denied', 'unauthenticated'] as const)
      noteRefusal(() => manager, call(code));
    const refusal = {
      method: '/swarm.v1.ControlService/UpdateNode',
      caller: 'a caller without a certificate',
      peer: '192.0.2.7:40312',
      reason: 'wrong-role',
    };
    assert.deepEqual(noted, [refusal, refusal]);
  });

  it('are answered all the same while the manager is not up', () => {
    noteRefusal(() => {
      throw new SwarmError({ code: 'unavailable', reason: 'shutting-down', message: 'not up' });
    }, call('denied'));
  });
});
