/**
 * Takes the options of swarmd and does what matters to the lab: listens on its socket, pins a mount namespace of its own
 * as the real one does, and starts a process in a cgroup below its parent that ignores every signal it can, as a stuck
 * container would. Says on its socket who and where it is, and over the wire also as many zeros as the path asks for.
 */
import { spawn } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';

const { values } = parseArgs({
  options: {
    'state-dir': { type: 'string', default: '' },
    'run-dir': { type: 'string', default: '' },
    socket: { type: 'string', default: '' },
    'cgroup-parent': { type: 'string', default: '' },
    hostname: { type: 'string', default: '' },
    fail: { type: 'boolean', default: false },
  },
});

if (values.fail) {
  process.stderr.write('the dummy was told to fail\n');
  process.exit(7);
}

function countBoots(): number {
  const file = join(values['state-dir'], 'boots');
  let boots = 0;
  try {
    boots = Number(readFileSync(file, 'utf8'));
  } catch {}
  writeFileSync(file, String(boots + 1));
  return boots + 1;
}

const boots = countBoots();
writeFileSync(join(values['run-dir'], 'volatile'), String(process.pid));
const script = 'trap "" TERM INT HUP; while :; do sleep 1000; done';
const stubborn = spawn('sh', ['-c', script], { detached: true, stdio: 'ignore' });

const answer = (): string =>
  JSON.stringify({
    hostname: hostname(),
    option: values.hostname,
    pid: process.pid,
    stubborn: stubborn.pid,
    boots,
    bootId: readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim(),
    cgroupParent: values['cgroup-parent'],
    now: Date.now(),
    uptime: Math.round(performance.now() / 1000),
  });

createServer((_request, response) => response.end(answer())).listen(values.socket);
createServer(({ url }, response) => {
  const bytes = Number(url?.slice(1));
  response.end(bytes > 0 ? '0'.repeat(bytes) : answer());
}).listen(2377, '0.0.0.0');
