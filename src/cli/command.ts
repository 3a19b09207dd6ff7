/** What the command tree is made of. Groups and summaries are known at once; a command's own code is loaded when run. */
import type { CliContext } from './context.ts';
import type { AnyFlag, FlagValues, ObjectKind, Refusal } from './flags.ts';

export interface CommandGroup {
  readonly kind: 'group';
  readonly name: string;
  readonly summary: string;
  readonly hidden?: boolean;
  /** Its commands are shown as those of the group around it: `swarm swarm init` is `swarm init`. */
  readonly transparent?: boolean;
  readonly children: readonly CommandNode[];
}

export interface Command {
  readonly kind: 'command';
  readonly name: string;
  readonly aliases?: readonly string[];
  readonly summary: string;
  /** What follows the command's name in its usage line: `[OPTIONS] SERVICE [SERVICE...]`. */
  readonly usage: string;
  readonly arguments: ArgumentCount;
  /** Flags end at the first argument, for the rest is another program's command line. */
  readonly flagsEndAtArgument?: boolean;
  readonly hidden?: boolean;
  /** Under which the same command is also known, for the help (`swarm image ls, swarm images`). */
  readonly alsoKnownAs?: readonly string[];
  readonly load: () => Promise<CommandImplementation>;
}

/** A command that Docker has and this release has not. */
export interface AbsentCommand {
  readonly kind: 'absent';
  readonly name: string;
  readonly refusal: Refusal;
}

export type CommandNode = CommandGroup | Command | AbsentCommand;

export interface ArgumentCount {
  readonly min: number;
  readonly max: number;
}

export const NO_ARGUMENTS: ArgumentCount = { min: 0, max: 0 };
export const ONE_ARGUMENT: ArgumentCount = { min: 1, max: 1 };
export const TWO_ARGUMENTS: ArgumentCount = { min: 2, max: 2 };
export const UP_TO_ONE_ARGUMENT: ArgumentCount = { min: 0, max: 1 };
export const UP_TO_TWO_ARGUMENTS: ArgumentCount = { min: 0, max: 2 };
export const AT_LEAST_ONE: ArgumentCount = { min: 1, max: Number.POSITIVE_INFINITY };
export const ANY_ARGUMENTS: ArgumentCount = { min: 0, max: Number.POSITIVE_INFINITY };

export interface CommandImplementation {
  readonly flags: readonly AnyFlag[];
  /** Whole command lines for the help, each with a comment line before it where it needs one. */
  readonly examples: readonly string[];
  /** What the shell may offer for an argument. */
  readonly argumentKind?: ObjectKind | readonly string[];
  /** Resolves with the exit code; 0 when it resolves with nothing. */
  readonly run: (invocation: Invocation) => Promise<number | undefined> | Promise<void>;
}

/** One call of a command. */
export interface Invocation {
  readonly context: CliContext;
  readonly flags: FlagValues;
  readonly arguments: readonly string[];
  /** `swarm service create`. */
  readonly path: string;
  /** All commands: for the one that completes command lines. */
  readonly root: CommandGroup;
  /** Prints the command's help, as Docker does for calls that ask for nothing. */
  readonly showHelp: () => void;
}
