/** What other programs' firewalls do to the packets of containers and of the cluster. */
import { SwarmError } from '#common/errors.ts';
import { type Check, type DoctorContext, EVERYWHERE, fail, ok, warn } from '../check.ts';
import type { Host } from '../host.ts';

const IP_FORWARD = '/proc/sys/net/ipv4/ip_forward';

export const ipForward: Check = {
  name: 'ip-forward',
  purposes: EVERYWHERE,
  containersOnly: true,
  run: async ({ host }) => {
    const value = (await host.read(IP_FORWARD))?.trim();
    if (value === '1') return ok('this host forwards packets');
    if (await host.writable(IP_FORWARD)) return ok('forwarding is off; the daemon turns it on when it needs it');
    return fail(
      'this host does not forward packets, and the daemon cannot turn that on',
      'set net.ipv4.ip_forward=1 on the host, or mount /proc/sys writable for the daemon',
    );
  },
};

/** A chain whose policy is to drop. */
interface DroppingChain {
  readonly family: string;
  readonly table: string;
  readonly chain: string;
}

async function droppingChains(context: DoctorContext, hook: 'forward' | 'input'): Promise<readonly DroppingChain[]> {
  const { host, ownTablePrefix } = context;
  const found: DroppingChain[] = [];
  const listed = await host.run('nft', '-j', 'list', 'chains');
  if (listed === undefined || listed.exitCode !== 0)
    throw new SwarmError({
      code: 'precondition',
      reason: 'preflight',
      message: `nft cannot list the chains of this host: ${listed?.stderr.trim() ?? 'it is not installed'}`,
      hint: 'install the package nftables, and run the daemon as root',
    });
  for (const chain of parseChains(listed.stdout)) {
    const { family = '', table = '', name = '' } = chain;
    if (!IP_FAMILIES.has(family) || table.startsWith(ownTablePrefix)) continue;
    if (chain['hook'] === hook && chain['policy'] === 'drop') found.push({ family, table, chain: name });
  }
  // The older iptables lives beside nftables, which does not see it. Asking it loads its modules, so only if they are.
  for (const [family, program] of await legacyInUse(host)) {
    const name = hook.toUpperCase();
    const policy = await host.run(program, '-S', name);
    if (policy?.stdout.includes(`-P ${name} DROP`) === true)
      found.push({ family, table: 'filter (legacy)', chain: name });
  }
  return found;
}

const IP_FAMILIES: ReadonlySet<string> = new Set(['ip', 'ip6', 'inet']);

const LEGACY = [
  ['ip', 'iptables-legacy'],
  ['ip6', 'ip6tables-legacy'],
] as const;

async function legacyInUse(host: Host): Promise<readonly (typeof LEGACY)[number][]> {
  const used: (typeof LEGACY)[number][] = [];
  for (const one of LEGACY)
    if (((await host.read(`/proc/net/${one[0]}_tables_names`)) ?? '').includes('filter')) used.push(one);
  return used;
}

function parseChains(json: string): readonly Readonly<Record<string, string>>[] {
  let parsed: { nftables?: readonly { chain?: Readonly<Record<string, unknown>> }[] };
  try {
    parsed = JSON.parse(json) as typeof parsed;
  } catch {
    return [];
  }
  return (parsed.nftables ?? []).flatMap(({ chain }) =>
    chain === undefined ? [] : [Object.fromEntries(Object.entries(chain).map(([key, value]) => [key, String(value)]))],
  );
}

function nameChains(chains: readonly DroppingChain[]): string {
  return chains.map(({ family, table, chain }) => `${family} ${table} ${chain}`).join(', ');
}

export const forwardPolicy: Check = {
  name: 'forward-policy',
  purposes: EVERYWHERE,
  containersOnly: true,
  run: async (context) => {
    const chains = await droppingChains(context, 'forward');
    if (chains.length === 0) return ok('no other firewall drops forwarded packets');
    const { ownLinkPrefix } = context;
    if (await acceptsOurLinks(context))
      return ok(`${nameChains(chains)} drops by default, and lets the links of this node pass`);
    const iptables = `iptables -I FORWARD -i ${ownLinkPrefix}+ -j ACCEPT; iptables -I FORWARD -o ${ownLinkPrefix}+ -j ACCEPT`;
    const nft = `iifname "${ownLinkPrefix}*" accept; oifname "${ownLinkPrefix}*" accept`;
    return warn(
      `${nameChains(chains)} drops forwarded packets: tasks will not reach the outside, nor be reached through published ports`,
      chains.some(isIptables) ? `let the links of this node pass: ${iptables}` : `add rules to that chain: ${nft}`,
    );
  },
};

/** iptables of either kind names its chains in capitals. */
function isIptables({ chain }: DroppingChain): boolean {
  return chain === chain.toUpperCase();
}

/** Whether somebody has let packets of our links pass, in both directions. */
async function acceptsOurLinks({ host, ownLinkPrefix, ownTablePrefix }: DoctorContext): Promise<boolean> {
  const rules = foreignTables((await host.run('nft', 'list', 'ruleset'))?.stdout ?? '', ownTablePrefix).split('\n');
  for (const [, program] of await legacyInUse(host))
    rules.push(...((await host.run(program, '-S'))?.stdout ?? '').split('\n'));
  const accepted = (words: readonly string[]): boolean =>
    rules.some((line) => /accept/i.test(line) && words.some((word) => line.includes(`${word}${ownLinkPrefix}`)));
  return accepted(['iifname "', '-i ']) && accepted(['oifname "', '-o ']);
}

/** The ruleset without our own tables, whose rules say nothing about the chains of others. */
function foreignTables(ruleset: string, ownTablePrefix: string): string {
  return ruleset
    .split(/^(?=table )/m)
    .filter((table) => !(table.split(' ')[2] ?? '').startsWith(ownTablePrefix))
    .join('');
}

export const inputPolicy: Check = {
  name: 'input-policy',
  purposes: EVERYWHERE,
  run: async (context) => {
    const chains = await droppingChains(context, 'input');
    if (chains.length === 0) return ok('no firewall of this host drops incoming packets by default');
    const { listen, dataPathPort } = context;
    const ports = `${listen.port}/tcp and ${dataPathPort}/udp`;
    return warn(
      `${nameChains(chains)} drops incoming packets: other nodes need ${ports} of this one`,
      `allow ${ports} from the other nodes, if that is not done yet`,
    );
  },
};
