/** Reads the host's own name service files, for tasks to inherit. */
import { readFile } from 'node:fs/promises';
import { readResolvConf } from '#agent/dns/index.ts';
import { type HostNameFiles, isStubResolver } from './name-files.ts';

const RESOLV_CONF = '/etc/resolv.conf';
/** Where systemd-resolved keeps the servers behind its stub. */
const REAL_RESOLV_CONF = '/run/systemd/resolve/resolv.conf';
const HOSTS = '/etc/hosts';

/** Read anew for every task: files of a few lines, and they change when the host's network does. */
export async function readHostNameFiles(): Promise<HostNameFiles> {
  const resolvConf = await textOf(RESOLV_CONF);
  const realResolvConf = isStubResolver(readResolvConf(resolvConf)) ? await textOf(REAL_RESOLV_CONF) : resolvConf;
  return { resolvConf, realResolvConf, hosts: await textOf(HOSTS) };
}

function textOf(path: string): Promise<string> {
  return readFile(path, 'utf8').catch(() => '');
}
