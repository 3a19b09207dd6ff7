/** Enters a mount namespace as the daemon does, and says what it finds there. */
import { mkdir, readFile, readlink } from 'node:fs/promises';
import { text } from 'node:stream/consumers';
import { mount } from '#agent/kernel/mount.ts';
import { readCgroupLayout } from '#agent/runtime/cgroups/layout.ts';
import { enterMountNamespace } from '#agent/runtime/index.ts';
import { parseMountInfo } from '#agent/runtime/mount-info.ts';

const [runDirectory = '', mark = ''] = process.argv.slice(2);
await enterMountNamespace(runDirectory);

const mountInfo = await readFile('/proc/self/mountinfo', 'utf8');
const marked = parseMountInfo(mountInfo).some((entry) => entry.target === mark);
if (mark !== '' && !marked) {
  await mkdir(mark, { recursive: true });
  await mount({ source: 'none', target: mark, type: 'tmpfs', flags: 0 });
}
console.log(
  JSON.stringify({
    pid: process.pid,
    namespace: await readlink('/proc/self/ns/mnt'),
    directory: process.cwd(),
    arguments: process.argv.slice(2),
    input: await text(process.stdin),
    unifiedVisible: readCgroupLayout(mountInfo).unifiedVisible,
    marked,
    variables: Object.keys(process.env).filter((name) => name.startsWith('STARLING_')),
  }),
);
