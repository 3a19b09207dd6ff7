/**
 * Goal: a published port answers on every address of its host, loopback ones too. Method: hosts with all that a daemon has
 * for networks; on [::1], which leads nowhere in the kernel, the resolver's process answers.
 */
import assert from 'node:assert/strict';
import { eventually } from '#test/support/eventually.ts';
import type { NamespaceProcess } from '../fixture.ts';
import { ClusterHosts, hostAddress, INGRESS } from './cluster-hosts.ts';

describe('network: a published port on loopback', function () {
  this.timeout(60_000);
  let hosts: ClusterHosts;
  let onHost: NamespaceProcess;

  before(async () => {
    hosts = await ClusterHosts.make(2, []);
    onHost = hosts.process(hosts.hostPath(1));
    hosts.services = [
      {
        id: 'web',
        ports: [
          { publishedPort: 8080, targetPort: 80 },
          { publishedPort: 8080, targetPort: 80, udp: true },
        ],
      },
    ];
    await hosts.add({ id: 'web2', host: 2, service: 'web', networks: { [INGRESS]: '10.0.0.2' } });
    const task = hosts.inTask('web2');
    await task.call('serve', 'web2', '::', 80);
    await task.call('serveDatagrams', 'web2', '::', 80);
  });

  after(async () => {
    await hosts?.destroy();
  });

  it('answers on 127.0.0.1 and on [::1], TCP and UDP, by a task of another host', async () => {
    for (const address of ['127.0.0.1', '::1']) {
      await eventually(`${address} answers`, async () => (await onHost.call('ask', address, 8080)).startsWith('web2 '));
      assert.equal(await onHost.call('ask', address, 8080), `web2 ${hostAddress(1)}`);
      assert.equal(await onHost.call('askDatagram', address, 8080), `web2 ${hostAddress(1)}`);
    }
  });

  it('leaves the port to nobody else, on any address', async () => {
    for (const address of ['0.0.0.0', '::', '::1'])
      await assert.rejects(onHost.call('serve', 'thief', address, 8080), /EADDRINUSE/, address);
  });
});
