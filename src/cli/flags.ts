/** What a command may be given: its flags as data, and the values that one call gave. */

export interface Flag<T> {
  /** Without the dashes. */
  readonly name: string;
  /** One letter. */
  readonly short?: string;
  /** Word for the value in the help (`list`, `duration`, `bytes`); empty for a flag without value. */
  readonly type: string;
  readonly usage: string;
  /** Shown in the help as the default, where Docker's help shows one. */
  readonly shownDefault?: string;
  readonly hidden?: boolean;
  /** Given more than once, every value counts; otherwise the last one does. */
  readonly repeatable: boolean;
  /** Throws an Error whose message completes `invalid argument "x" for "--flag" flag: ...`. */
  readonly parse: (text: string) => T;
  /** Words that the shell may offer; a word is a value, or a kind of object to ask the daemon for. */
  readonly completions?: readonly string[] | ObjectKind;
  /** Docker has this flag and this release has not what it asks for: the refusal, with the way out. */
  readonly refusal?: Refusal;
}

export type ObjectKind =
  | 'service'
  | 'node'
  | 'task'
  | 'image'
  | 'network'
  | 'stack'
  | 'secret'
  | 'config'
  | 'volume'
  | 'client'
  | 'context'
  | 'file';

export interface Refusal {
  /** Completes "--flag is not supported: ...". */
  readonly because: string;
  readonly hint: string;
}

/** A flag whose kind of value does not matter. */
export type AnyFlag = Flag<unknown>;

type FlagInit<T> = Omit<Flag<T>, 'repeatable' | 'type' | 'parse'>;

/** A flag that is there or not (`--tty`, `--tty=false`). */
export function boolFlag(init: FlagInit<boolean>): Flag<boolean> {
  return { ...init, type: '', repeatable: false, parse: parseBool };
}

export function stringFlag(init: FlagInit<string> & { readonly type?: string }): Flag<string> {
  return { type: 'string', ...init, repeatable: false, parse: (text) => text };
}

/** A flag with a value of its own notation. */
export function valueFlag<T>(init: FlagInit<T> & Pick<Flag<T>, 'type' | 'parse'>): Flag<T> {
  return { ...init, repeatable: false };
}

/** A flag that may be given any number of times. */
export function listFlag<T = string>(
  init: FlagInit<T> & { readonly type?: string; readonly parse?: (text: string) => T },
): Flag<T> {
  return { type: 'list', parse: (text) => text as T, ...init, repeatable: true };
}

/** A flag of Docker that this release refuses: it is in no help, and giving it is an error with a way out. */
export function refusedFlag(name: string, takesValue: boolean, refusal: Refusal, short?: string): Flag<string> {
  return {
    name,
    ...(short === undefined ? {} : { short }),
    type: takesValue ? 'string' : '',
    usage: '',
    hidden: true,
    repeatable: true,
    parse: (text) => text,
    refusal,
  };
}

/** Go's spellings of true and false. */
function parseBool(text: string): boolean {
  if (['1', 't', 'T', 'TRUE', 'true', 'True'].includes(text)) return true;
  if (['0', 'f', 'F', 'FALSE', 'false', 'False'].includes(text)) return false;
  throw new Error(`strconv.ParseBool: parsing ${JSON.stringify(text)}: invalid syntax`);
}

/** The flags that one call gave, by name: commands that share a flag's name share its kind of value. */
export class FlagValues {
  readonly #values = new Map<string, unknown[]>();

  /** Takes one occurrence of a flag. Throws what the flag's parser throws. */
  add<T>(flag: Flag<T>, text: string): void {
    const value = flag.parse(text);
    const values = this.#values.get(flag.name);
    if (values === undefined || !flag.repeatable) this.#values.set(flag.name, [value]);
    else values.push(value);
  }

  given(flag: AnyFlag): boolean {
    return this.#values.has(flag.name);
  }

  anyGiven(...flags: readonly AnyFlag[]): boolean {
    return flags.some((flag) => this.given(flag));
  }

  /** The value, or undefined when the flag was not given. */
  value<T>(flag: Flag<T>): T | undefined {
    return this.#values.get(flag.name)?.at(-1) as T | undefined;
  }

  /** Whether a flag without value was given and not as `=false`. */
  isSet(flag: Flag<boolean>): boolean {
    return this.value(flag) === true;
  }

  /** All values in the order given. */
  list<T>(flag: Flag<T>): readonly T[] {
    return (this.#values.get(flag.name) ?? []) as readonly T[];
  }

  /** Names of all flags that were given. */
  names(): readonly string[] {
    return [...this.#values.keys()];
  }
}
