/** Goal: the daemon's command line is checked before anything is touched. Method: good lines, and one bad one per rule. */
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { HELP, parseCommand } from '#src/swarmd/options.ts';
import { VERSION } from '#src/swarmd/version.ts';

describe('swarmd: options', () => {
  it('defaults, and the socket follows the run directory', () => {
    const command = parseCommand(['--run-dir', '/run/other/', '--label', 'zone=a', '--label', 'ssd']);
    assert.ok(command.kind === 'run');
    assert.equal(command.options.socket, '/run/other/swarm.sock');
    assert.equal(command.options.stateDir, '/var/lib/starling');
    assert.deepEqual(command.options.engineLabels, { zone: 'a', ssd: '' });
    assert.equal(command.options.addedRuntimes.size, 0);
    const named = parseCommand(['--add-runtime', 'nvidia=/usr/bin/nvidia-container-runtime']);
    assert.ok(named.kind === 'run');
    assert.deepEqual([...named.options.addedRuntimes], [['nvidia', '/usr/bin/nvidia-container-runtime']]);
  });

  for (const line of [
    ['--nonsense'],
    ['--state-dir', 'relative'],
    ['--state-dir', '/a,b'],
    ['--run-dir', '/a/../b'],
    ['--socket', `/${'x'.repeat(120)}`],
    ['--add-runtime', 'nvidia'],
    ['--add-runtime', 'nvidia=nvidia-container-runtime'],
    ['--add-runtime', 'a/b=/usr/bin/x'],
    ['--cgroup-parent', 'starling'],
    ['--cgroup-parent', '/a/../b'],
    ['--executor', 'docker'],
    ['--log-level', 'loud'],
    ['--metrics-addr', '9323'],
    ['--listen-addr', 'a b'],
    ['--advertise-addr', '1.2.3.4:99999'],
    ['--advertise-addr', ''],
    ['--metrics-addr', 'host:99999'],
    ['--image-high', '50', '--image-low', '60'],
    ['--image-high', '-1'],
    ['--hostname', 'a b'],
    ['--label', '=x'],
    ['dance'],
    ['destroy', 'everything'],
  ])
    it(`refuses ${line.join(' ').slice(0, 40)} with a way out`, () => {
      assert.throws(
        () => parseCommand(line),
        (error: { code?: string; hint?: string }) => error.code === 'invalid' && (error.hint ?? '') !== '',
      );
    });

  it('every option is in the help', () => {
    for (const flag of [
      'state-dir',
      'executor',
      'metrics-addr',
      'listen-addr',
      'advertise-addr',
      'gateway-pool',
      'image-low',
      'reason',
    ])
      assert.match(HELP, new RegExp(`--${flag} `));
  });

  it('the version is that of package.json', async () => {
    const text = await readFile(new URL('../../../package.json', import.meta.url), 'utf8');
    assert.equal((JSON.parse(text) as { version: string }).version, VERSION);
  });
});
