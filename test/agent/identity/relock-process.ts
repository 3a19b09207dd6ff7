/** Changes the lock of the identity in its directory from one key to the other and back until it is killed. */
import { setInterval } from 'node:timers';
import { IdentityStore } from '#agent/identity/index.ts';

const [directory = '', ...keys] = process.argv.slice(2);
const locks = keys.map((hex, index) => ({ key: Buffer.from(hex, 'hex'), version: index + 1 }));
const store = new IdentityStore(directory);
for (const { key } of locks) await store.keys.unlock(key).catch(() => {});
setInterval(() => {}, 60_000);
for (let count = 0; ; count++) {
  const lock = locks[count % locks.length];
  await store.keys.relock(lock, `log keys under version ${lock?.version}`);
  await store.keys.settle();
  if (count === 1) process.stdout.write('running\n');
}
