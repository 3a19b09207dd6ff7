/** Makes the host a router where it is none, and what comes with that. */
import { readdir, readFile } from 'node:fs/promises';
import { hasErrno } from '../kernel/libc.ts';
import type { AddressPlan } from './address-plan.ts';
import type { Family } from './host-ports.ts';
import { ensureSysctl, type Sysctl, sysctlPath } from './sysctls.ts';

const FORWARDING: Readonly<Record<Family, string>> = { 4: 'ipv4/ip_forward', 6: 'ipv6/conf/all/forwarding' };

/** As accept_ra has it: only while the host is no router; also when it is one. */
const [HEAR_AS_HOST, HEAR_ALWAYS] = ['1', '2'] as const;

type ForwardingPlan = Pick<AddressPlan, 'forwardingIsOurs' | 'forwarding6IsOurs' | 'advertisedDevices'>;

async function valueOf(name: string): Promise<string | undefined> {
  try {
    return (await readFile(sysctlPath(name), 'utf8')).trim();
  } catch (error) {
    if (hasErrno(error, 'ENOENT', 'EINVAL')) return undefined;
    throw error;
  }
}

function advertisements(device: string): string {
  return `ipv6/conf/${device}/accept_ra`;
}

/**
 * A router does not listen to other routers: turning forwarding on drops the default route that a router advertised, and
 * the host with it. So devices that listen are told to go on first. Those that it told, by name.
 */
async function goOnListening(hostLink: string): Promise<readonly string[]> {
  const told: string[] = [];
  for (const device of await readdir(sysctlPath('ipv6/conf'))) {
    if (device === 'all' || device === 'lo' || device === hostLink) continue;
    if ((await valueOf(advertisements(device))) !== HEAR_AS_HOST) continue;
    if (await ensureSysctl([advertisements(device), HEAR_ALWAYS])) told.push(device);
  }
  return told;
}

/** Turns on what is off, and says what of the plan is different from then on; undefined when all was on. */
export async function ensureForwarding(
  plan: AddressPlan,
  hostLink: string,
  hasIpv6: boolean,
  repaired: string[],
): Promise<Partial<ForwardingPlan> | undefined> {
  let news: Partial<ForwardingPlan> | undefined;
  if (await ensureSysctl([FORWARDING[4], '1'])) {
    repaired.push(`setting net/${FORWARDING[4]}`);
    news = { forwardingIsOurs: true };
  }
  if (!hasIpv6 || (await valueOf(FORWARDING[6])) === '1') return news;
  const told = await goOnListening(hostLink);
  await ensureSysctl([FORWARDING[6], '1']);
  repaired.push(`setting net/${FORWARDING[6]}`);
  const advertisedDevices = [...new Set([...plan.advertisedDevices, ...told])];
  return { ...news, forwarding6IsOurs: true, advertisedDevices };
}

/** Undoes what was turned on. */
export async function restoreForwarding(plan: ForwardingPlan): Promise<void> {
  const settings: Sysctl[] = [];
  if (plan.forwardingIsOurs) settings.push([FORWARDING[4], '0']);
  if (plan.forwarding6IsOurs) settings.push([FORWARDING[6], '0']);
  for (const setting of settings) await ensureSysctl(setting);
  for (const device of plan.advertisedDevices)
    if ((await valueOf(advertisements(device))) === HEAR_ALWAYS)
      await ensureSysctl([advertisements(device), HEAR_AS_HOST]);
}
