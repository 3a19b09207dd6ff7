import { FlagValueError, UsageError } from './cli-errors.ts';
import { type AnyFlag, FlagValues } from './flags.ts';

export interface ParsedFlags {
  readonly values: FlagValues;
  readonly arguments: readonly string[];
  readonly wantsHelp: boolean;
}

/**
 * Reads flags by the rules of Docker's command line: `--name value`, `--name=value`, `-n value`, `-nvalue`, `-n=value`,
 * short ones without value together (`-dt`), and `--` before arguments that begin with a dash. A flag without value
 * takes one only after `=`. With `stopAtArgument`, what follows the first argument is not looked at (`IMAGE COMMAND
 * ARG...`). Throws a UsageError in Docker's words.
 */
export function parseFlags(words: readonly string[], flags: readonly AnyFlag[], stopAtArgument: boolean): ParsedFlags {
  const parser = new FlagParser(words, flags);
  return parser.run(stopAtArgument);
}

class FlagParser {
  readonly #words: readonly string[];
  readonly #byName: ReadonlyMap<string, AnyFlag>;
  readonly #byShort: ReadonlyMap<string, AnyFlag>;
  readonly #values = new FlagValues();
  #at = 0;
  #wantsHelp = false;

  constructor(words: readonly string[], flags: readonly AnyFlag[]) {
    this.#words = words;
    this.#byName = new Map(flags.map((flag) => [flag.name, flag]));
    this.#byShort = new Map(flags.flatMap((flag) => (flag.short === undefined ? [] : [[flag.short, flag]])));
  }

  run(stopAtArgument: boolean): ParsedFlags {
    const found: string[] = [];
    while (this.#at < this.#words.length && !this.#wantsHelp) {
      const word = this.#words[this.#at++] as string;
      if (word === '--') {
        found.push(...this.#words.slice(this.#at));
        break;
      }
      if (word.startsWith('--')) this.#long(word);
      else if (word.startsWith('-') && word !== '-') this.#short(word);
      else {
        found.push(word);
        if (!stopAtArgument) continue;
        found.push(...this.#words.slice(this.#at));
        break;
      }
    }
    return { values: this.#values, arguments: found, wantsHelp: this.#wantsHelp };
  }

  #long(word: string): void {
    const equals = word.indexOf('=');
    const name = equals < 0 ? word.slice(2) : word.slice(2, equals);
    if (name === '' || name.startsWith('-')) throw new UsageError(`bad flag syntax: ${word}`);
    const flag = this.#byName.get(name);
    if (flag === undefined) {
      if (name !== 'help') throw new UsageError(`unknown flag: --${name}`, nearest(name, [...this.#byName.values()]));
      this.#wantsHelp = true;
      return;
    }
    if (equals >= 0) this.#take(flag, word.slice(equals + 1));
    else if (flag.type === '') this.#take(flag, 'true');
    else this.#take(flag, this.#nextWord(`flag needs an argument: --${name}`));
  }

  #short(word: string): void {
    let letters = word.slice(1);
    while (letters !== '' && !this.#wantsHelp) {
      const letter = letters[0] as string;
      letters = letters.slice(1);
      const flag = this.#byShort.get(letter);
      if (flag === undefined) {
        if (letter !== 'h') throw new UsageError(`unknown shorthand flag: '${letter}' in -${letter}${letters}`);
        this.#wantsHelp = true;
        return;
      }
      if (letters.startsWith('=')) {
        this.#take(flag, letters.slice(1));
        return;
      }
      if (flag.type === '') this.#take(flag, 'true');
      else {
        this.#take(flag, letters === '' ? this.#nextWord(`flag needs an argument: '${letter}' in ${word}`) : letters);
        return;
      }
    }
  }

  #nextWord(complaint: string): string {
    const word = this.#words[this.#at++];
    if (word === undefined) throw new UsageError(complaint);
    return word;
  }

  #take(flag: AnyFlag, text: string): void {
    if (flag.refusal !== undefined)
      throw new UsageError(`--${flag.name} is not supported: ${flag.refusal.because}`, flag.refusal.hint);
    try {
      this.#values.add(flag, text);
    } catch (thrown) {
      const shown = flag.short === undefined ? `--${flag.name}` : `-${flag.short}, --${flag.name}`;
      const reason = thrown instanceof Error ? thrown.message : String(thrown);
      const hint = thrown instanceof FlagValueError ? thrown.hint : undefined;
      throw new UsageError(`invalid argument ${JSON.stringify(text)} for "${shown}" flag: ${reason}`, hint);
    }
  }
}

function nearest(name: string, flags: readonly AnyFlag[]): string | undefined {
  const names = flags.filter((flag) => flag.hidden !== true).map((flag) => flag.name);
  const best = closest(name, names);
  return best === undefined ? undefined : `did you mean --${best}?`;
}

/** The word nearest to what was typed, when it is near enough to have been meant. */
export function closest(typed: string, words: readonly string[]): string | undefined {
  let best: string | undefined;
  let bestDistance = Math.max(1, Math.floor(typed.length / 3)) + 1;
  for (const word of words) {
    const distance = word.startsWith(typed) && typed.length >= 3 ? 1 : editDistance(typed, word);
    if (distance < bestDistance) {
      best = word;
      bestDistance = distance;
    }
  }
  return best;
}

/** How many letters have to be changed, left out, added or swapped with the next to make one word of the other. */
function editDistance(from: string, to: string): number {
  const rows: number[][] = [Array.from({ length: to.length + 1 }, (_, i) => i)];
  for (let i = 1; i <= from.length; i++) {
    const row = [i];
    const above = rows[i - 1] as number[];
    for (let j = 1; j <= to.length; j++) {
      const isSame = from[i - 1] === to[j - 1];
      let best = Math.min(
        (above[j - 1] as number) + (isSame ? 0 : 1),
        (above[j] as number) + 1,
        (row[j - 1] as number) + 1,
      );
      if (i > 1 && j > 1 && from[i - 1] === to[j - 2] && from[i - 2] === to[j - 1])
        best = Math.min(best, ((rows[i - 2] as number[])[j - 2] as number) + 1);
      row.push(best);
    }
    rows.push(row);
  }
  return (rows[from.length] as number[])[to.length] as number;
}
