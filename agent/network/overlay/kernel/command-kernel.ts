/**
 * The kernel by programs: ip, bridge, nft, conntrack, sysctl, with nsenter and unshare. For machines where system calls
 * cannot be made from here (koffi or libnftables is missing). Ten times as slow, and it hears of no events.
 */
import { rm, statfs, writeFile } from 'node:fs/promises';
import { SwarmError } from '#common/errors.ts';
import { AF_INET6, familyOf } from '../../../kernel/ip-address.ts';
import type { FlowFilter } from '../../../kernel/netlink-conntrack.ts';
import type { ElementChange, ElementSet } from '../../../kernel/nftables-elements.ts';
import type { Sysctl } from '../../sysctls.ts';
import { type CommandLine, commandLines } from './command-lines.ts';
import {
  parseAddresses,
  parseElements,
  parseForwarding,
  parseLinks,
  parseNeighbours,
  parseRoutes,
  parseRules,
} from './command-output.ts';
import type { KernelNamespace, LinkState, NetworkKernel } from './network-kernel.ts';
import type { Item, Operation } from './operations.ts';
import { codeOf, runTool, type ToolResult, toolFailure } from './run-tool.ts';

const NSFS_MAGIC = 0x6e736673;
const PROTOCOLS: Readonly<Record<number, string>> = { 6: 'tcp', 17: 'udp' };

const PROGRAMS: Readonly<Record<CommandLine['tool'], readonly string[]>> = {
  ip: ['ip'],
  ip6: ['ip', '-6'],
  bridge: ['bridge'],
};

/** Lines that go to one tool, in one process. */
function runsOf(lines: readonly CommandLine[]): readonly (readonly CommandLine[])[] {
  const runs: CommandLine[][] = [];
  for (const line of lines) {
    const last = runs.at(-1);
    if (last?.[0]?.tool === line.tool) last.push(line);
    else runs.push([line]);
  }
  return runs;
}

/** What a tool in batch mode said of each line that failed, by the line's number from 1. */
function batchFailures(stderr: string): ReadonlyMap<number, string> {
  const failures = new Map<number, string>();
  let said: string[] = [];
  for (const line of stderr.split('\n')) {
    const failed = /^Command failed -:(\d+)/.exec(line);
    if (failed === null) said.push(line);
    else {
      failures.set(Number(failed[1]), said.join('\n'));
      said = [];
    }
  }
  return failures;
}

function elementText({ set, action, key, value }: ElementChange): string {
  const data = value === undefined ? '' : ` : ${set.value === 'goto' ? `goto ${value}` : value}`;
  return `${action} element ${set.family} ${set.table} ${set.name} { ${key}${data} }`;
}

function flowArguments({ ipProtocol, originalDestination, replySource }: FlowFilter): readonly string[] {
  const isIpv6 = familyOf(originalDestination ?? replySource ?? '') === AF_INET6;
  return [
    '-f',
    isIpv6 ? 'ipv6' : 'ipv4',
    ...(ipProtocol === undefined ? [] : ['-p', PROTOCOLS[ipProtocol] ?? String(ipProtocol)]),
    ...(originalDestination === undefined ? [] : ['--orig-dst', originalDestination]),
    ...(replySource === undefined ? [] : ['--reply-src', replySource]),
  ];
}

class CommandNamespace implements KernelNamespace {
  readonly #path: string | undefined;

  constructor(path: string | undefined) {
    this.#path = path;
  }

  async change(operations: readonly Operation[]): Promise<void> {
    let failure: SwarmError | undefined;
    for (const run of runsOf(operations.flatMap(commandLines))) {
      const input = `${run.map(({ line }) => line).join('\n')}\n`;
      const { stderr } = await this.#run([...PROGRAMS[run[0]?.tool ?? 'ip'], '-force', '-batch', '-'], input);
      for (const [number, text] of batchFailures(stderr)) {
        const line = run[number - 1];
        if (line === undefined || line.tolerate.includes(codeOf(text))) continue;
        failure ??= toolFailure(`${line.tool} ${line.line}`, text);
      }
    }
    if (failure !== undefined) throw failure;
  }

  async links(): Promise<readonly LinkState[]> {
    return parseLinks(await this.#read(['ip', '-j', '-d', 'link', 'show']));
  }

  async items(): Promise<readonly Item[]> {
    const devices = new Map((await this.links()).map(({ name, index }) => [name, { name, index }]));
    const items: Item[] = [...parseAddresses(await this.#read(['ip', '-j', 'addr', 'show']), devices)];
    for (const family of ['-4', '-6']) {
      const isIpv6 = family === '-6';
      const routes = await this.#read(['ip', '-j', family, 'route', 'show', 'table', 'all']);
      const neighbours = await this.#read(['ip', '-j', family, 'neigh', 'show', 'nud', 'permanent']);
      items.push(...parseRoutes(routes, isIpv6, devices), ...parseNeighbours(neighbours, devices));
      items.push(...parseRules(await this.#read(['ip', '-j', family, 'rule', 'show']), isIpv6));
    }
    items.push(...parseForwarding(await this.#read(['bridge', '-j', 'fdb', 'show']), devices));
    return items;
  }

  async ensureSettings(settings: readonly Sysctl[], mode?: 'look only'): Promise<readonly string[]> {
    if (settings.length === 0) return [];
    const names = settings.map(([name]) => `net/${name}`);
    // Names are printed with dots; a setting that the kernel does not have is left out.
    const { stdout } = await this.#run(['sysctl', '-e', ...names]);
    const current = new Map(stdout.split('\n').map((line) => line.split(' = ') as [string, string]));
    const differing = settings.filter(([name, value]) => {
      const found = current.get(`net.${name.replaceAll('/', '.')}`);
      return found !== undefined && found.trim().replaceAll('\t', ' ') !== value;
    });
    if (differing.length > 0 && mode === undefined)
      await this.#read(['sysctl', '-q', '-w', ...differing.map(([name, value]) => `net/${name}=${value}`)]);
    return differing.map(([name]) => name);
  }

  async load(what: string, text: string): Promise<void> {
    const { exitCode, stderr } = await this.#run(['nft', '-f', '-'], text);
    if (exitCode !== 0) throw toolFailure(what, stderr.replace(/^\S+ Error: /, ''));
  }

  ruleset(): Promise<string> {
    return this.#read(['nft', '-s', '-t', '-y', '-p', '-n', 'list', 'ruleset']);
  }

  async elements({ family, table, name, value }: ElementSet): Promise<ReadonlyMap<string, string>> {
    const kind = value === undefined ? 'set' : 'map';
    return parseElements(await this.#read(['nft', '-n', 'list', kind, family, table, name]));
  }

  async changeElements(groups: readonly (readonly ElementChange[])[]): Promise<void> {
    const changes = groups.flat();
    if (changes.length === 0) return;
    // Every group is whole in the one transaction; what is taken away goes before what takes its place.
    const removals = changes.filter(({ action }) => action === 'delete');
    const additions = changes.filter(({ action }) => action === 'add');
    await this.load('change elements', `${[...removals, ...additions].map(elementText).join('\n')}\n`);
  }

  async forgetFlows(filters: readonly FlowFilter[]): Promise<void> {
    for (const filter of filters) {
      const { exitCode, stderr } = await this.#run(['conntrack', '-D', ...flowArguments(filter)]);
      // 1 when there was nothing to forget.
      if (exitCode !== 0 && !/ 0 flow entries/.test(stderr)) throw toolFailure('forget connections', stderr);
    }
  }

  watch(): undefined {
    return undefined;
  }

  async close(): Promise<void> {}

  #run(command: readonly string[], input?: string): Promise<ToolResult> {
    return runTool(this.#path, command, input);
  }

  async #read(command: readonly string[]): Promise<string> {
    const { exitCode, stdout, stderr } = await this.#run(command);
    if (exitCode !== 0) throw toolFailure(`run ${command.join(' ')}`, stderr);
    return stdout;
  }
}

export class CommandKernel implements NetworkKernel {
  readonly #hostPath: string | undefined;

  /** `hostPath`: the host's namespace, where that is not the one the process runs in. */
  constructor(hostPath?: string) {
    this.#hostPath = hostPath;
  }

  async host(): Promise<KernelNamespace> {
    return new CommandNamespace(this.#hostPath);
  }

  async create(path: string): Promise<KernelNamespace> {
    await writeFile(path, '', { flag: 'wx', mode: 0o600 });
    const { exitCode, stderr } = await runTool(undefined, ['unshare', `--net=${path}`, 'true']);
    if (exitCode === 0) return new CommandNamespace(path);
    await this.remove(path);
    throw toolFailure(`make the namespace ${path}`, stderr);
  }

  async open(path: string): Promise<KernelNamespace> {
    if (await this.exists(path)) return new CommandNamespace(path);
    throw toolFailure(`open the namespace ${path}`, 'No such file or directory');
  }

  async exists(path: string): Promise<boolean> {
    try {
      return (await statfs(path)).type === NSFS_MAGIC;
    } catch (error) {
      if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return false;
      throw error;
    }
  }

  async remove(path: string): Promise<void> {
    // A crash between two steps can leave a mount on a mount.
    while (await this.exists(path)) {
      const { exitCode, stderr } = await runTool(undefined, ['umount', '--lazy', path]);
      if (exitCode !== 0) throw toolFailure(`remove the namespace ${path}`, stderr);
    }
    await rm(path, { force: true });
  }
}
