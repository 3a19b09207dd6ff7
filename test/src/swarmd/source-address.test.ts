/** Goal: a node that was not told its address finds the one that others see. Method: the routes of this machine. */
import assert from 'node:assert/strict';
import { sourceAddressTo } from '#src/swarmd/source-address.ts';

describe('swarmd: source address', () => {
  it('is the one that the routes choose', async () => {
    assert.equal(await sourceAddressTo('127.0.0.7'), '127.0.0.1');
    assert.equal(await sourceAddressTo('localhost').then((found) => found === '127.0.0.1' || found === '::1'), true);
  });

  it('is unknown where there is no way, or nobody of that name', async () => {
    assert.equal(await sourceAddressTo('240.0.0.1.invalid'), undefined);
    assert.equal(await sourceAddressTo(''), undefined);
  });
});
