import { type Check, EVERYWHERE, fail, ok, warn } from '../check.ts';
import { DOCTOR_CONFIG } from '../config.ts';
import type { Host } from '../host.ts';

async function numberIn(host: Host, path: string): Promise<number | undefined> {
  const text = (await host.read(path))?.trim() ?? '';
  return /^\d+$/.test(text) ? Number(text) : undefined;
}

export const openFiles: Check = {
  name: 'open-files',
  purposes: EVERYWHERE,
  containersOnly: true,
  run: async ({ host }) => {
    const limits = (await host.read('/proc/self/limits')) ?? '';
    const hard = /^Max open files\s+\S+\s+(\d+|unlimited)/m.exec(limits)?.[1] ?? '';
    const limit = hard === 'unlimited' ? Number.POSITIVE_INFINITY : Number(hard);
    if (limit >= DOCTOR_CONFIG.openFilesWarn) return ok(`the daemon may open ${hard} files`);
    const verdict = limit < DOCTOR_CONFIG.openFilesFail ? fail : warn;
    return verdict(
      `the daemon may open ${hard || 'an unknown number of'} files; a busy node needs ${DOCTOR_CONFIG.openFilesWarn}`,
      'raise it: LimitNOFILE=1048576 in the systemd unit, or `ulimit -Hn` before the daemon',
    );
  },
};

export const inotify: Check = {
  name: 'inotify',
  purposes: EVERYWHERE,
  containersOnly: true,
  run: async ({ host }) => {
    const instances = await numberIn(host, '/proc/sys/fs/inotify/max_user_instances');
    const watches = await numberIn(host, '/proc/sys/fs/inotify/max_user_watches');
    if (instances === undefined || watches === undefined) return undefined;
    const { inotifyInstancesWarn, inotifyWatchesWarn } = DOCTOR_CONFIG;
    const found = `${instances} inotify instances and ${watches} watches a user`;
    if (instances >= inotifyInstancesWarn && watches >= inotifyWatchesWarn) return ok(found);
    return warn(
      `${found} are few: containers of one user share them`,
      `sysctl -w fs.inotify.max_user_instances=${inotifyInstancesWarn * 4} fs.inotify.max_user_watches=${inotifyWatchesWarn * 8}`,
    );
  },
};

export const conntrack: Check = {
  name: 'conntrack',
  purposes: EVERYWHERE,
  containersOnly: true,
  run: async ({ host }) => {
    const limit = await numberIn(host, '/proc/sys/net/netfilter/nf_conntrack_max');
    const used = (await numberIn(host, '/proc/sys/net/netfilter/nf_conntrack_count')) ?? 0;
    if (limit === undefined) return ok('connections are not tracked yet; they will be from the first container on');
    const found = `${used} of ${limit} connections tracked`;
    const raise = `sysctl -w net.netfilter.nf_conntrack_max=${Math.max(262_144, limit * 2)}`;
    if (used >= limit * DOCTOR_CONFIG.conntrackFullShare)
      return warn(`${found}: new ones will soon be dropped`, `raise the limit: ${raise}`);
    if (limit < DOCTOR_CONFIG.conntrackWarn)
      return warn(`${found}: that is few for a node`, `raise the limit: ${raise}`);
    return ok(found);
  },
};
