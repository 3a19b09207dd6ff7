/** Goal: a published port answers by IPv6 as by IPv4. Method: a swarm of four hosts that are given addresses of it. */
import assert from 'node:assert/strict';
import { FABRIC, FABRIC_ADDRESS } from '#src/lab/names.ts';
import { IMAGE, useCluster } from './support/cluster.ts';

const PORT = 18_090;
const CLIENT = 'fd31::fe';

describe('e2e: published ports by IPv6', function () {
  const cluster = useCluster(this);
  const addressOf = (index: number): string => `fd31::${index + 1}`;

  async function shell(host: string, script: string): Promise<string> {
    const { stdout, stderr } = await cluster().lab.exec(host, ['sh', '-c', script]);
    return `${stdout}${stderr}`.trim();
  }

  /** Of the fabric or a host: the device that its IPv4 address is on. */
  function onDevice(action: 'add' | 'del', ipv4: string, ipv6: string): string {
    return `ip -6 addr ${action} ${ipv6}/64 dev $(ip -o -4 addr show to ${ipv4} | awk '{print $2}')`;
  }

  async function addresses(action: 'add' | 'del'): Promise<void> {
    const nodad = action === 'add' ? ' nodad' : '';
    await shell(FABRIC, onDevice(action, FABRIC_ADDRESS, CLIENT) + nodad);
    for (const [index, { name, address }] of cluster().lab.hosts.entries())
      await shell(name, onDevice(action, address, addressOf(index)) + nodad);
  }

  before(() => addresses('add'));

  after(async () => {
    await cluster()
      .must(['service', 'rm', 'who6'])
      .catch(() => {});
    await addresses('del');
  });

  it('on every node, with the address of who connects, and on [::1]', async () => {
    const serve = `mkdir -p /www/cgi-bin; printf '#!/bin/sh\\necho; echo $REMOTE_ADDR\\n' >/www/cgi-bin/who; \
      chmod +x /www/cgi-bin/who; exec httpd -f -p 80 -h /www`;
    const flags = ['--name', 'who6', '--publish', `${PORT}:80`];
    await cluster().must(['service', 'create', ...flags, IMAGE, 'sh', '-c', serve]);
    const ask = (host: string, address: string): Promise<string> =>
      shell(host, `curl -gsS -m 5 http://[${address}]:${PORT}/cgi-bin/who`);
    for (const [index, { name }] of cluster().lab.hosts.entries()) {
      assert.equal((await ask(FABRIC, addressOf(index))).replaceAll(/[[\]]/g, ''), CLIENT, `by ${name}`);
      assert.match(await ask(name, '::1'), /172\.31\./, `on ${name}`);
    }
  });
});
