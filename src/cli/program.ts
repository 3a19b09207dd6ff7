/**
 * The command tree on commander: it finds the command and runs it; the rules for flags, the help and the errors are
 * Docker's and therefore ours. A command's own module is loaded when its name has been read, not before.
 */
import { Command as CommanderCommand, type ParseOptionsResult } from 'commander';
import { CliError, UsageError } from './cli-errors.ts';
import type { AbsentCommand, Command, CommandGroup, CommandImplementation, CommandNode } from './command.ts';
import type { CliContext } from './context.ts';
import { type AnyFlag, FlagValues } from './flags.ts';
import { commandHelp, groupHelp } from './help.ts';
import { closest, parseFlags } from './parse-flags.ts';

export interface Program {
  readonly root: CommandGroup;
  readonly globalFlags: readonly AnyFlag[];
  /** Makes the context once the global flags are known. */
  readonly open: (globals: FlagValues) => CliContext;
}

/**
 * Runs one command line (without the program's name) and resolves with its exit code. Throws UsageError, CliError,
 * SwarmError or whatever the command throws.
 */
export async function runProgram(program: Program, words: readonly string[], output: HelpOutput): Promise<number> {
  const run: Run = { program, output, context: undefined, exitCode: 0 };
  try {
    await new GroupNode(run, program.root, program.root.name).parseAsync([...words], { from: 'user' });
  } catch (thrown) {
    if (!(thrown instanceof HelpShown)) throw thrown;
  }
  return run.exitCode;
}

export interface HelpOutput {
  readonly stdout: (text: string) => void;
  readonly stderr: (text: string) => void;
  readonly columns: number | undefined;
}

/** State of one call. */
interface Run {
  readonly program: Program;
  readonly output: HelpOutput;
  context: CliContext | undefined;
  exitCode: number;
}

/** Thrown by a node to leave commander after help was shown. */
class HelpShown extends Error {}

abstract class Node extends CommanderCommand {
  readonly run: Run;
  readonly path: string;

  constructor(run: Run, name: string, path: string) {
    super(name);
    this.run = run;
    this.path = path;
    this.helpOption(false).helpCommand(false).allowExcessArguments(true).exitOverride();
  }

  /** A usage error as the command shows it: what is wrong, the usage line, where to read on. */
  protected complain(error: UsageError, usage: string): never {
    throw new UsageError(
      `${error.message}\n\nUsage:  ${usage}\n\nRun '${this.path} --help' for more information`,
      error.hint,
    );
  }
}

class GroupNode extends Node {
  readonly group: CommandGroup;
  #wantsHelp = false;

  constructor(run: Run, group: CommandGroup, path: string) {
    super(run, group.name, path);
    this.group = group;
    this.action(() => this.#withoutCommand());
    this.hook('preSubcommand', async (_parent, child) => {
      if (child instanceof LeafNode) await child.loadImplementation();
    });
  }

  #addChild(child: CommandNode): void {
    const path = `${this.path} ${child.name}`;
    if (child.kind === 'group') this.addCommand(new GroupNode(this.run, child, child.transparent ? this.path : path));
    else if (child.kind === 'command') this.addCommand(new LeafNode(this.run, child, path));
    else this.addCommand(new AbsentNode(this.run, child, path));
  }

  get #isRoot(): boolean {
    return this.parent === null;
  }

  /** Only the program itself has flags; everything after the first word belongs to the command. */
  override parseOptions(words: string[]): ParseOptionsResult {
    for (const child of this.group.children) this.#addChild(child);
    const flags = this.#isRoot ? this.run.program.globalFlags : [];
    try {
      const parsed = parseFlags(words, flags, true);
      this.#wantsHelp = parsed.wantsHelp;
      if (this.#isRoot) this.run.context = this.run.program.open(parsed.values);
      const [name, ...rest] = parsed.arguments;
      if (name === undefined || parsed.wantsHelp) return { operands: [], unknown: [] };
      // Words of a command that does not exist are nobody's to look at.
      return { operands: [name], unknown: this.#has(name) ? rest : [] };
    } catch (thrown) {
      if (!(thrown instanceof UsageError)) throw thrown;
      return this.complain(thrown, this.#isRoot ? `${this.path} [OPTIONS] COMMAND [ARG...]` : `${this.path} COMMAND`);
    }
  }

  #has(name: string): boolean {
    return this.commands.some((child) => child.name() === name || child.aliases().includes(name));
  }

  /** No command was named, or one that does not exist. */
  #withoutCommand(): void {
    const { output, program } = this.run;
    const [name] = this.args;
    if (name === undefined) {
      const flags = this.#isRoot ? program.globalFlags : [];
      const write = this.#wantsHelp || this.#isRoot ? output.stdout : output.stderr;
      write(groupHelp(this.path, this.group, flags, output.columns));
      return;
    }
    const near = closest(
      name,
      this.group.children.filter(isShown).map((child) => child.name),
    );
    const suggestion = near === undefined ? '' : `\n\nDid you mean this?\n\t${near}`;
    const usage = this.#isRoot ? '' : `\n\nUsage:  ${this.path}`;
    throw new CliError(
      `${program.root.name}: unknown command: ${this.path} ${name}${suggestion}${usage}\n\nRun '${this.path} --help' for more information`,
    );
  }
}

function isShown(node: CommandNode): boolean {
  return node.kind !== 'absent' && node.hidden !== true;
}

class LeafNode extends Node {
  readonly spec: Command;
  #implementation: CommandImplementation | undefined;
  #values = new FlagValues();

  constructor(run: Run, spec: Command, path: string) {
    super(run, spec.name, path);
    this.spec = spec;
    if (spec.aliases !== undefined) this.aliases(spec.aliases);
    this.action(async () => this.#runCommand());
  }

  async loadImplementation(): Promise<void> {
    this.#implementation = await this.spec.load();
  }

  get #loaded(): CommandImplementation {
    if (this.#implementation === undefined) throw new Error(`${this.path} was run before it was loaded`);
    return this.#implementation;
  }

  override parseOptions(words: string[]): ParseOptionsResult {
    try {
      const parsed = parseFlags(words, this.#loaded.flags, this.spec.flagsEndAtArgument === true);
      if (parsed.wantsHelp) this.#showHelp();
      if (parsed.wantsHelp) throw new HelpShown();
      this.#values = parsed.values;
      return { operands: [...parsed.arguments], unknown: [] };
    } catch (thrown) {
      if (!(thrown instanceof UsageError)) throw thrown;
      return this.complain(thrown, `${this.path} ${this.spec.usage}`.trimEnd());
    }
  }

  #showHelp(): void {
    const { output } = this.run;
    output.stdout(commandHelp(this.path, this.spec, this.#loaded, output.columns));
  }

  async #runCommand(): Promise<void> {
    this.#checkArguments();
    const { context } = this.run;
    if (context === undefined) throw new Error('the global flags were not read');
    const exitCode = await this.#loaded.run({
      context,
      flags: this.#values,
      arguments: this.args,
      path: this.path,
      root: this.run.program.root,
      showHelp: () => this.#showHelp(),
    });
    this.run.exitCode = exitCode ?? 0;
  }

  #checkArguments(): void {
    const { min, max } = this.spec.arguments;
    const count = this.args.length;
    if (count >= min && count <= max) return;
    const program = this.run.program.root.name;
    const usage = `Usage:  ${this.path} ${this.spec.usage}`.trimEnd();
    const [rule, verb] = argumentRule(min, max);
    throw new CliError(
      `${program}: '${this.path}' ${rule}\n\n${usage}\n\n${verb} '${this.path} --help' for more information`,
    );
  }
}

/** The rule that was broken, and the word that Docker begins the next sentence with. */
function argumentRule(min: number, max: number): readonly [rule: string, verb: string] {
  const plural = (count: number): string => `${count} argument${count === 1 ? '' : 's'}`;
  if (max === 0) return ['accepts no arguments', 'Run'];
  if (min === max) return [`requires ${plural(min)}`, 'Run'];
  if (max === Number.POSITIVE_INFINITY) return [`requires at least ${plural(min)}`, 'See'];
  if (min === 0) return [`requires at most ${plural(max)}`, 'Run'];
  return [`requires at least ${min} and at most ${plural(max)}`, 'Run'];
}

class AbsentNode extends Node {
  constructor(run: Run, absent: AbsentCommand, path: string) {
    super(run, absent.name, path);
    this.action(() => {
      const { because, hint } = absent.refusal;
      throw new CliError(`${run.program.root.name}: '${path}' is not part of this release: ${because}`, { hint });
    });
  }

  override parseOptions(): ParseOptionsResult {
    return { operands: [], unknown: [] };
  }
}
