/**
 * Goal: the root of the swarm is replaced, and no session is lost at its end. Method: real daemons with simulated
 * containers, two rotations, and what the daemons have logged: by the end of the second one, managers have long looked
 * at everybody because of the first.
 */
import assert from 'node:assert/strict';
import { RotateRootCaRequest } from '#gen/swarm/v1/rootca.ts';
import { skipBecause } from '#test/support/skip-because.ts';
import { DaemonProcess, freePort, until } from './support/daemon-process.ts';

const ROTATED_MS = 60_000;
const MANAGER = '127.0.0.21';
const WORKERS = ['127.0.0.22', '127.0.0.23'];

describe('a rotation of the root', function () {
  this.timeout(180_000);
  const hosts: DaemonProcess[] = [];

  async function host(address: string): Promise<DaemonProcess> {
    const port = await freePort();
    const made = await DaemonProcess.create({ name: `node-${hosts.length}`, host: address, port });
    hosts.push(made);
    await made.start();
    return made;
  }

  before(function () {
    if (process.getuid?.() !== 0) skipBecause(this, 'daemons need root');
  });
  after(() => Promise.all(hosts.map((one) => one.destroy())));

  it('ends with every session on a connection of the new one: none is cut, none is lost', async () => {
    const manager = await host(MANAGER);
    const { workerToken } = await manager.init();
    for (const address of WORKERS) await (await host(address)).join(workerToken, manager.address);
    const workers = hosts.slice(1);
    for (const expected of [1, 2]) {
      const before = (await manager.rootCa.getRootCa({})).rootCa?.digest;
      await manager.rootCa.rotateRootCa(RotateRootCaRequest.create());
      await until('the new root to be the root', ROTATED_MS, async () => {
        const { rootCa, progress } = await manager.rootCa.getRootCa({});
        assert.ok(progress === undefined && rootCa?.digest !== before);
      });
      for (const worker of workers)
        await until(`${worker.name} to have moved once in each rotation`, ROTATED_MS, async () => {
          assert.equal(worker.output.match(/session established/g)?.length, 1 + expected, worker.output);
        });
    }
    for (const worker of workers) assert.doesNotMatch(worker.output, /session lost/);
  });
});
