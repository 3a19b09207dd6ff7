/** Goal: mount namespaces are told apart by the kernel's own number, where it gives one. */
import assert from 'node:assert/strict';
import { mountNamespaceId } from '#agent/kernel/namespace-id.ts';
import { skipBecause } from '#test/support/skip-because.ts';

describe('kernel: namespace id', () => {
  it('is the same for the same mount namespace, and none for what is no mount namespace', function () {
    const own = mountNamespaceId('/proc/self/ns/mnt');
    assert.equal(mountNamespaceId('/proc/thread-self/ns/mnt'), own);
    assert.equal(mountNamespaceId('/proc/self/ns/net'), undefined);
    assert.equal(mountNamespaceId('/etc/passwd'), undefined);
    if (own === undefined) skipBecause(this, 'a kernel before 6.11 does not tell');
    assert.ok(own > 0n);
  });
});
