/** Goal: addresses mean what users mean. Method: the loopback interface, which every host has, and rubbish. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { formatHostPort } from '#common/host-port.ts';
import { advertiseAddress, listenAddress } from '#src/swarmd/addresses.ts';
import { skipBecause } from '#test/support/skip-because.ts';

describe('swarmd: addresses', () => {
  it('defaults, interfaces, ports and brackets', () => {
    assert.deepEqual(listenAddress(''), { host: '0.0.0.0', port: 2377 });
    assert.deepEqual(listenAddress('127.0.0.1'), { host: '127.0.0.1', port: 2377 });
    assert.deepEqual(listenAddress('lo:4000'), { host: '127.0.0.1', port: 4000 });
    assert.deepEqual(listenAddress(':4000'), { host: '0.0.0.0', port: 4000 });
    assert.deepEqual(listenAddress('[::1]:4000'), { host: '::1', port: 4000 });
    assert.deepEqual(listenAddress('::1'), { host: '::1', port: 2377 });
    assert.equal(formatHostPort({ host: '::1', port: 1 }), '[::1]:1');
  });

  it('what is advertised follows from where it listens', () => {
    assert.deepEqual(advertiseAddress('', { host: '127.0.0.1', port: 9 }), { host: '127.0.0.1', port: 9 });
    assert.deepEqual(advertiseAddress('lo', { host: '0.0.0.0', port: 9 }), { host: '127.0.0.1', port: 9 });
  });

  it('refuses what nobody could reach, with the flag and a way out', () => {
    for (const text of ['nowhere0', '1.2.3.4:0', '1.2.3.4:70000', 'a:b:c', '0.0.0.0', ':1'])
      assert.throws(
        () => advertiseAddress(text, { host: '0.0.0.0', port: 2377 }),
        (error: { field?: string; hint?: string }) => error.field === '--advertise-addr' && (error.hint ?? '') !== '',
        text,
      );
  });

  it('takes the one address of the host, whatever links to containers it has', async function () {
    if (process.getuid?.() !== 0) skipBecause(this, 'network namespaces need root');
    const script = `
      import { execFileSync } from 'node:child_process';
      const ip = (...words) => execFileSync('ip', words);
      for (const [name, address] of [['real0', '10.9.8.7/24'], ['sl-x', '169.254.64.1/30']]) {
        ip('link', 'add', name, 'type', 'veth', 'peer', 'name', name + 'p');
        ip('address', 'add', address, 'dev', name);
        // A link runs when both of its ends are up.
        for (const end of [name, name + 'p']) ip('link', 'set', end, 'up');
      }
      const { advertiseAddress } = await import(${JSON.stringify(import.meta.resolve('#src/swarmd/addresses.ts'))});
      console.log(advertiseAddress('', { host: '0.0.0.0', port: 2377 }).host);`;
    const node = [process.execPath, '--disable-warning=ExperimentalWarning', '--input-type=module', '--eval', script];
    const { stdout } = await promisify(execFile)('unshare', ['--net', ...node], { timeout: 20_000 });
    assert.equal(stdout, '10.9.8.7\n');
  });
});
