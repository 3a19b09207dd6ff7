/** What a shell may offer at the end of a command line. */
import { visibleLine } from '#common/readable-text.ts';
import { withDeadline } from '#common/system/deadline.ts';
import { networkDriver, networkName } from '../../docker-shape/from-networks.ts';
import { PREDEFINED_NETWORKS } from '../../docker-shape/predefined-networks.ts';
import type { Command, CommandGroup, CommandImplementation, CommandNode } from '../command.ts';
import type { CliContext } from '../context.ts';
import { contextNames, contextPaths, DEFAULT_CONTEXT } from '../contexts/context-paths.ts';
import type { AnyFlag, ObjectKind } from '../flags.ts';

export interface Candidate {
  readonly value: string;
  readonly description: string;
}

export interface Answer {
  readonly candidates: readonly Candidate[];
  /** The shell may offer files too. */
  readonly mayBeFile: boolean;
}

/** A shell that waits is worse than one that offers nothing. */
const LOOKUP_TIMEOUT_MS = 1000;

/**
 * What a shell takes for one word and nothing else. It puts what is offered onto the command line as it is: a node that
 * calls itself `$(reboot)` must not wait there for the administrator's Enter.
 */
const WORD = /^[\w./][\w@%+=:,./-]*$/;

const NOTHING: Answer = { candidates: [], mayBeFile: false };
const FILES: Answer = { candidates: [], mayBeFile: true };

export interface CompletionRoot {
  readonly root: CommandGroup;
  readonly globalFlags: readonly AnyFlag[];
  readonly context: CliContext;
}

/** Answers for the words of a command line (without the program's name), of which the last is being typed. */
export async function complete(
  { root, globalFlags, context }: CompletionRoot,
  words: readonly string[],
): Promise<Answer> {
  const typed = words.at(-1) ?? '';
  const before = words.slice(0, -1);
  const place = descend(root, globalFlags, before);
  if (place.kind === 'flag-value') return flagValues(context, place.flag, typed);
  if (place.kind === 'group') return groupAnswer(place.group, place.group === root ? globalFlags : [], typed);
  const implementation = await place.command.load();
  return commandAnswer(context, place.command, implementation, place.words, typed);
}

type Place =
  | { readonly kind: 'group'; readonly group: CommandGroup }
  | { readonly kind: 'command'; readonly command: Command; readonly words: readonly string[] }
  | { readonly kind: 'flag-value'; readonly flag: AnyFlag };

function descend(root: CommandGroup, globalFlags: readonly AnyFlag[], words: readonly string[]): Place {
  let group = root;
  for (let at = 0; at < words.length; at++) {
    const word = words[at] as string;
    if (word.startsWith('-')) {
      const flag = flagNamed(globalFlags, word);
      if (group !== root || flag === undefined || flag.type === '' || word.includes('=')) continue;
      at++;
      if (at >= words.length) return { kind: 'flag-value', flag };
      continue;
    }
    const child = group.children.find((node) => isCalled(node, word));
    if (child === undefined || child.kind === 'absent') break;
    if (child.kind === 'command') return { kind: 'command', command: child, words: words.slice(at + 1) };
    group = child;
  }
  return { kind: 'group', group };
}

function isCalled(node: CommandNode, name: string): boolean {
  return node.name === name || (node.kind === 'command' && node.aliases?.includes(name) === true);
}

/** The flag that a word of the form `--name`, `--name=value` or `-n` names. */
function flagNamed(flags: readonly AnyFlag[], word: string): AnyFlag | undefined {
  const name = word.replace(/^--?/, '').replace(/=.*$/s, '');
  if (word.startsWith('--')) return flags.find((flag) => flag.name === name);
  return flags.find((flag) => flag.short === name);
}

function groupAnswer(group: CommandGroup, flags: readonly AnyFlag[], typed: string): Answer {
  if (typed.startsWith('-')) return { ...NOTHING, candidates: flagNames(flags, typed) };
  const shown = group.children.filter((child) => child.kind !== 'absent' && child.hidden !== true);
  const named = shown.map((child) => ({
    value: child.name,
    description: child.kind === 'absent' ? '' : child.summary,
  }));
  return { ...NOTHING, candidates: beginning(named, typed) };
}

async function commandAnswer(
  context: CliContext,
  command: Command,
  implementation: CommandImplementation,
  words: readonly string[],
  typed: string,
): Promise<Answer> {
  let count = 0;
  for (let at = 0; at < words.length; at++) {
    const word = words[at] as string;
    if (!word.startsWith('-') || word === '-') {
      count++;
      if (command.flagsEndAtArgument === true) return FILES;
      continue;
    }
    const flag = flagNamed(implementation.flags, word);
    if (flag === undefined || flag.type === '' || word.includes('=')) continue;
    at++;
    if (at >= words.length) return flagValues(context, flag, typed);
  }
  if (typed.startsWith('-')) {
    const flag = typed.includes('=') ? flagNamed(implementation.flags, typed) : undefined;
    if (flag === undefined) return { ...NOTHING, candidates: flagNames(implementation.flags, typed) };
    const prefix = typed.slice(0, typed.indexOf('=') + 1);
    const answer = await flagValues(context, flag, typed.slice(prefix.length));
    return { ...answer, candidates: answer.candidates.map((one) => ({ ...one, value: prefix + one.value })) };
  }
  if (count >= command.arguments.max) return NOTHING;
  return values(context, implementation.argumentKind, typed);
}

function flagNames(flags: readonly AnyFlag[], typed: string): readonly Candidate[] {
  const shown = flags.filter((flag) => flag.hidden !== true).toSorted((a, b) => (a.name < b.name ? -1 : 1));
  return beginning(
    shown.map((flag) => ({ value: `--${flag.name}`, description: flag.usage.split('\n')[0] ?? '' })),
    typed,
  );
}

async function flagValues(context: CliContext, flag: AnyFlag, typed: string): Promise<Answer> {
  return values(context, flag.completions, typed);
}

async function values(
  context: CliContext,
  kind: ObjectKind | readonly string[] | undefined,
  typed: string,
): Promise<Answer> {
  if (kind === undefined) return NOTHING;
  if (kind === 'file') return FILES;
  if (typeof kind !== 'string')
    return {
      ...NOTHING,
      candidates: beginning(
        kind.map((value) => ({ value, description: '' })),
        typed,
      ),
    };
  try {
    const found = await withDeadline(objects(context, kind), LOOKUP_TIMEOUT_MS, 'names', context.clock);
    const safe = found.filter(({ value }) => WORD.test(value));
    return { ...NOTHING, candidates: beginning(safe, typed).map(onOneLine) };
  } catch {
    // Without a daemon there are no names to offer.
    return NOTHING;
  }
}

async function objects(context: CliContext, kind: Exclude<ObjectKind, 'file'>): Promise<readonly Candidate[]> {
  const found: Candidate[] = [];
  if (kind === 'context') {
    const names = [DEFAULT_CONTEXT, ...(await contextNames(contextPaths(context.variables)))];
    return names.map((value) => ({ value, description: '' }));
  }
  const api = await context.api();
  switch (kind) {
    case 'service':
      for await (const { services } of api.control.listServices({}))
        for (const { service } of services)
          found.push({
            value: service?.spec?.name ?? '',
            description: service?.spec?.task?.container?.image.replace(/@.*$/, '') ?? '',
          });
      break;
    case 'node':
      found.push({ value: 'self', description: 'this node' });
      for await (const { nodes } of api.control.listNodes({}))
        for (const { id, description } of nodes) {
          const hostname = description?.hostname ?? '';
          found.push({ value: WORD.test(hostname) ? hostname : id, description: id });
        }
      break;
    case 'task':
      for await (const { tasks } of api.control.listTasks({}))
        for (const { task, serviceName } of tasks)
          found.push({
            value: task?.id ?? '',
            description: task?.oneOff?.name ?? `${serviceName}.${task?.slot || task?.nodeId}`,
          });
      break;
    case 'network':
      for await (const { networks } of api.control.listNetworks({}))
        for (const network of networks)
          found.push({ value: networkName(network), description: networkDriver(network) });
      for (const network of PREDEFINED_NETWORKS)
        found.push({ value: networkName(network), description: 'on every node' });
      break;
    case 'volume':
      for await (const { volumes } of api.volumes.listVolumes({}))
        for (const { volume, nodeHostname } of volumes)
          found.push({ value: volume?.spec?.name ?? '', description: nodeHostname });
      break;
    case 'secret':
      for await (const { secrets } of api.secrets.listSecrets({}))
        for (const { id, spec } of secrets) found.push({ value: spec?.name ?? '', description: id });
      break;
    case 'config':
      for await (const { configs } of api.secrets.listConfigs({}))
        for (const { id, spec } of configs) found.push({ value: spec?.name ?? '', description: id });
      break;
    case 'stack':
      for await (const { stacks } of api.stacks.listStacks({}))
        for (const { id, spec } of stacks) found.push({ value: spec?.name ?? '', description: id });
      break;
    case 'client':
      for await (const { clients } of api.clients.listClients({}))
        for (const { id, name } of clients) found.push({ value: name, description: id });
      break;
    case 'image':
      for await (const { images } of api.images.listImages({}))
        for (const image of images) found.push(...image.repoTags.map((value) => ({ value, description: '' })));
      break;
  }
  return found;
}

function onOneLine({ value, description }: Candidate): Candidate {
  return { value, description: visibleLine(description) };
}

function beginning(candidates: readonly Candidate[], typed: string): readonly Candidate[] {
  return candidates.filter(({ value }) => value !== '' && value.startsWith(typed));
}
