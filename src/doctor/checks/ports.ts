/** Ports of this host, and the way to the managers. */
import { formatHostPort, type HostPort } from '#common/host-port.ts';
import { type Check, EVERYWHERE, fail, ok, warn } from '../check.ts';
import { DOCTOR_CONFIG } from '../config.ts';
import type { Host } from '../host.ts';

export const clusterPort: Check = {
  name: 'cluster-port',
  purposes: EVERYWHERE,
  run: async ({ host, listen, serving, manager }) => {
    const where = formatHostPort(listen);
    if (serving) return ok(`this daemon serves ${where}/tcp`);
    const error = await host.bind('tcp', listen.host, listen.port);
    if (error === undefined) return ok(`${where}/tcp is free`);
    // A worker listens on nothing; it will need the port on the day it is promoted.
    const verdict = manager === true ? fail : warn;
    if (error === 'EADDRINUSE') {
      const owner = await ownerOf(host, 'tcp', listen.port);
      return verdict(
        `${where}/tcp is in use${owner === undefined ? '' : ` by ${owner}`}`,
        'stop it, or choose another port with --listen-addr',
      );
    }
    if (error === 'EADDRNOTAVAIL')
      return verdict(`${listen.host} is not an address of this host`, 'choose one of its addresses with --listen-addr');
    return verdict(`${where}/tcp cannot be opened (${error})`, 'run the daemon as root, or choose another port');
  },
};

export const dataPathPort: Check = {
  name: 'data-path-port',
  purposes: EVERYWHERE,
  containersOnly: true,
  run: async ({ host, dataPathPort: port, purpose, manager, ownNetworksLeft }) => {
    const error = await host.bind('udp', '0.0.0.0', port);
    if (error === undefined) return ok(`${port}/udp is free`);
    if (error !== 'EADDRINUSE') return fail(`${port}/udp cannot be opened (${error})`, 'run the daemon as root');
    const owner = await ownerOf(host, 'udp', port);
    const member = purpose === 'doctor' && manager !== undefined;
    if (owner === undefined && member) return ok(`${port}/udp is held by the kernel, for networks of this node`);
    if (owner === undefined && (await ownNetworksLeft()))
      return ok(`${port}/udp is held by the kernel, for networks that this host was on before`);
    return fail(
      `${port}/udp is in use by ${owner ?? 'a VXLAN device of the kernel: another swarm or overlay network on this host'}`,
      'end that, or choose another port for the whole swarm with `swarm init --data-path-port`',
    );
  },
};

/** "nginx (pid 12)", as far as `ss` may tell. */
async function ownerOf(host: Host, protocol: 'tcp' | 'udp', port: number): Promise<string | undefined> {
  const result = await host.run('ss', '-H', '-l', '-n', '-p', protocol === 'tcp' ? '-t' : '-u', `sport = :${port}`);
  const match = /users:\(\("([^"]+)",pid=(\d+)/.exec(result?.stdout ?? '');
  return match === null ? undefined : `${match[1]} (pid ${match[2]})`;
}

export const managerPort: Check = {
  name: 'manager-port',
  purposes: ['join', 'doctor'],
  run: async ({ host, managers, purpose }) => {
    if (managers.length === 0) return undefined;
    const results = await Promise.all(managers.map((manager) => reach(host, manager)));
    const reached = results.filter((result) => result.error === undefined);
    const lost = results.filter((result) => result.error !== undefined);
    if (lost.length === 0) {
      const slowestMs = Math.max(...reached.map((result) => result.elapsedMs));
      return ok(`${plural(reached.length, 'manager')} reached, the farthest in ${slowestMs.toFixed(1)} ms`);
    }
    const [first] = lost;
    const message = lost.map(({ name, error }) => `${name}: ${describe(error)}`).join('; ');
    const hint = wayOut(first?.error);
    // One manager is enough to join by, and to be a node by.
    if (reached.length > 0 && purpose === 'doctor') return warn(message, hint);
    if (reached.length > 0) return warn(message, `${hint}; the join goes through another manager`);
    return fail(message, hint);
  },
};

interface Reached {
  readonly name: string;
  readonly error: string | undefined;
  readonly elapsedMs: number;
}

async function reach(host: Host, manager: HostPort): Promise<Reached> {
  const connection = await host.connect(manager.host, manager.port, DOCTOR_CONFIG.connectTimeoutMs);
  return { name: formatHostPort(manager), ...connection };
}

const UNRESOLVED: ReadonlySet<string> = new Set(['ENOTFOUND', 'EAI_AGAIN']);
const UNROUTED: ReadonlySet<string> = new Set(['EHOSTUNREACH', 'ENETUNREACH']);

function describe(error = ''): string {
  if (error === 'ECONNREFUSED') return 'refused: nothing listens there';
  if (error === 'ETIMEDOUT') return 'no answer: a firewall drops the packets, or the host is down';
  if (UNROUTED.has(error)) return 'no route to it';
  if (UNRESOLVED.has(error)) return 'the name does not resolve';
  return `not reached (${error})`;
}

function wayOut(error = ''): string {
  if (error === 'ECONNREFUSED') return 'check the address, and that the daemon runs on the manager: `swarm info` there';
  if (UNRESOLVED.has(error)) return "give the manager's address instead of its name, or repair the resolver";
  return "open the manager's port (2377/tcp) in the firewalls between, and compare `ip route get ADDRESS`";
}

function plural(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? '' : 's'}`;
}
