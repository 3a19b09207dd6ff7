/**
 * Regular expressions whose matching takes time in proportion to the text, whatever was written: a constraint must never
 * hold up the scheduler. All ways through the expression are followed side by side; nothing is tried twice.
 *
 * Known are characters, `.`, classes (`[a-z]`, `[^0-9]`), `\d \w \s` and their opposites, groups, `|`, `*`, `+`, `?`,
 * `{m,n}`, `^` and `$`. Not known are back references, look-around and `\b`. Case does not count.
 */

export interface SafePattern {
  /** Whether the expression is found anywhere in the text. */
  test(text: string): boolean;
}

/** What is wrong with an expression, and where: 0 is its first character. */
export interface PatternProblem {
  readonly message: string;
  readonly at: number;
}

/** Characters of an expression. */
export const PATTERN_LENGTH_MAX = 200;
/** Steps of an expression with its repetitions written out: with the text's length it bounds the time of a match. */
const STEPS_MAX = 200;
const REPEAT_MAX = 100;
const DEPTH_MAX = 20;
/** Characters of a text that are looked at: no host name is longer, nor a label that people read. */
const TEXT_LENGTH_MAX = 256;

type Accepts = (code: number) => boolean;

type Syntax =
  | { readonly kind: 'empty' }
  | { readonly kind: 'one'; readonly accepts: Accepts }
  | { readonly kind: 'begin' }
  | { readonly kind: 'end' }
  | { readonly kind: 'both'; readonly parts: readonly Syntax[] }
  | { readonly kind: 'either'; readonly parts: readonly Syntax[] }
  | { readonly kind: 'repeat'; readonly part: Syntax; readonly min: number; readonly max: number };

/** The expression ready to be matched, or what is wrong with it. */
export function compilePattern(source: string): SafePattern | PatternProblem {
  if (source.length > PATTERN_LENGTH_MAX)
    return { message: `is longer than ${PATTERN_LENGTH_MAX} characters`, at: PATTERN_LENGTH_MAX };
  const parser = new Parser(source);
  const syntax = parser.parse();
  if (parser.problem !== undefined || syntax === undefined)
    return parser.problem ?? { message: 'cannot be read', at: 0 };
  if (sizeOf(syntax) > STEPS_MAX)
    return { message: `has more than ${STEPS_MAX} steps with its repetitions written out`, at: 0 };
  const program = new Program();
  program.emit(syntax);
  program.add({ kind: 'match' });
  return program;
}

const DIGIT: Accepts = (code) => code >= 48 && code <= 57;
const WORD: Accepts = (code) => DIGIT(code) || (code >= 97 && code <= 122) || code === 95;
const SPACE: Accepts = (code) => code === 32 || (code >= 9 && code <= 13) || code === 0xa0;

const CLASSES: Readonly<Record<string, Accepts>> = {
  d: DIGIT,
  D: (code) => !DIGIT(code),
  w: WORD,
  W: (code) => !WORD(code),
  s: SPACE,
  S: (code) => !SPACE(code),
};

class Parser {
  problem: PatternProblem | undefined;
  readonly #source: string;
  #at = 0;
  #depth = 0;

  constructor(source: string) {
    this.#source = source.toLowerCase().length === source.length ? source : '';
    if (this.#source !== source) this.#fail('has a letter without a plain lower case', 0);
  }

  parse(): Syntax | undefined {
    const syntax = this.#alternatives();
    if (this.#at < this.#source.length) this.#fail('has a ) without its (', this.#at);
    return syntax;
  }

  #fail(message: string, at: number): { readonly kind: 'empty' } {
    this.problem ??= { message, at };
    this.#at = this.#source.length;
    return { kind: 'empty' };
  }

  get #next(): string {
    return this.#source[this.#at] ?? '';
  }

  #alternatives(): Syntax {
    if (++this.#depth > DEPTH_MAX) return this.#fail('has too many groups within groups', this.#at);
    const parts = [this.#sequence()];
    while (this.#next === '|') {
      this.#at++;
      parts.push(this.#sequence());
    }
    this.#depth--;
    return parts.length === 1 ? (parts[0] as Syntax) : { kind: 'either', parts };
  }

  #sequence(): Syntax {
    const parts: Syntax[] = [];
    while (this.#next !== '' && this.#next !== '|' && this.#next !== ')') parts.push(this.#repeated());
    return { kind: 'both', parts };
  }

  #repeated(): Syntax {
    const begin = this.#at;
    const part = this.#atom();
    const bounds = this.#bounds();
    if (bounds === undefined) return part;
    if (part.kind === 'begin' || part.kind === 'end') return this.#fail('repeats what has no length', begin);
    if ('*+?{'.includes(this.#next) && this.#next !== '') return this.#fail('repeats a repetition', this.#at);
    return { kind: 'repeat', part, ...bounds };
  }

  #bounds(): { readonly min: number; readonly max: number } | undefined {
    const simple = { '*': [0, Infinity], '+': [1, Infinity], '?': [0, 1] }[this.#next];
    if (simple !== undefined) {
      this.#at++;
      return { min: simple[0] ?? 0, max: simple[1] ?? 0 };
    }
    if (this.#next !== '{') return undefined;
    const match = /^\{(\d{1,3})(,(\d{0,3}))?\}/.exec(this.#source.slice(this.#at));
    if (match === null) {
      this.#fail('has a { that does not begin a repetition such as {2,5}', this.#at);
      return undefined;
    }
    const min = Number(match[1]);
    const max = match[2] === undefined ? min : match[3] === '' ? Infinity : Number(match[3]);
    if (min > max || min > REPEAT_MAX || (max !== Infinity && max > REPEAT_MAX)) {
      this.#fail(`has a repetition that is not between 0 and ${REPEAT_MAX}`, this.#at);
      return undefined;
    }
    this.#at += match[0].length;
    return { min, max };
  }

  #atom(): Syntax {
    const at = this.#at++;
    const character = this.#source[at] ?? '';
    switch (character) {
      case '(':
        return this.#group(at);
      case '[':
        return this.#characterClass(at);
      case '.':
        return { kind: 'one', accepts: () => true };
      case '^':
        return { kind: 'begin' };
      case '$':
        return { kind: 'end' };
      case '\\':
        return { kind: 'one', accepts: this.#escaped(at) };
      case '*':
      case '+':
      case '?':
      case '{':
        return this.#fail(`has a ${character} with nothing before it to repeat`, at);
      default:
        return { kind: 'one', accepts: exactly(character) };
    }
  }

  #group(at: number): Syntax {
    if (this.#source.startsWith('?:', this.#at)) this.#at += 2;
    else if (this.#next === '?') return this.#fail('has a group that begins with (?, of which only (?: is known', at);
    const inner = this.#alternatives();
    if (this.#next !== ')') return this.#fail('has a ( without its )', at);
    this.#at++;
    return inner;
  }

  #escaped(at: number): Accepts {
    const character = this.#source[this.#at++] ?? '';
    const known = Object.hasOwn(CLASSES, character) ? CLASSES[character] : undefined;
    if (known !== undefined) return known;
    if (character === '' || /[a-z0-9]/i.test(character)) {
      this.#fail(`has \\${character}, which is not known`, at);
      return () => false;
    }
    return exactly(character);
  }

  #characterClass(at: number): Syntax {
    const negated = this.#next === '^';
    if (negated) this.#at++;
    const parts: Accepts[] = [];
    while (this.#next !== ']' || parts.length === 0) {
      if (this.#next === '') return this.#fail('has a [ without its ]', at);
      parts.push(this.#classPart());
    }
    this.#at++;
    const accepts: Accepts = (code) => parts.some((part) => part(code));
    return { kind: 'one', accepts: negated ? (code) => !accepts(code) : accepts };
  }

  #classPart(): Accepts {
    const at = this.#at++;
    const first = this.#source[at] ?? '';
    if (first === '\\') return this.#escaped(at);
    const last = this.#source[this.#at + 1] ?? '';
    if (this.#next !== '-' || last === ']' || last === '') return exactly(first);
    this.#at += 2;
    const from = first.toLowerCase().charCodeAt(0);
    const to = last.toLowerCase().charCodeAt(0);
    if (last === '\\' || from > to) {
      this.#fail(`has a range ${first}-${last} that is not in order`, at);
      return () => false;
    }
    return (code) => code >= from && code <= to;
  }
}

function exactly(character: string): Accepts {
  const wanted = character.toLowerCase().charCodeAt(0);
  return (code) => code === wanted;
}

function sizeOf(syntax: Syntax): number {
  switch (syntax.kind) {
    case 'both':
      return syntax.parts.reduce((sum, part) => sum + sizeOf(part), 0);
    case 'either':
      return syntax.parts.reduce((sum, part) => sum + sizeOf(part), 2 * syntax.parts.length);
    case 'repeat':
      return (sizeOf(syntax.part) + 1) * Math.max(1, syntax.max === Infinity ? syntax.min + 1 : syntax.max) + 1;
    default:
      return 1;
  }
}

type Step =
  | { readonly kind: 'one'; readonly accepts: Accepts }
  | { readonly kind: 'begin' }
  | { readonly kind: 'end' }
  | { readonly kind: 'match' }
  /** Goes on at all of them. */
  | { readonly kind: 'split'; readonly to: number[] };

class Program implements SafePattern {
  readonly #steps: Step[] = [];
  /** For each step, the place in the text at which it was last entered. */
  #entered: number[] = [];
  #end = 0;

  add(step: Step): void {
    this.#steps.push(step);
  }

  emit(syntax: Syntax): void {
    switch (syntax.kind) {
      case 'empty':
        return;
      case 'both':
        for (const part of syntax.parts) this.emit(part);
        return;
      case 'either':
        return this.#emitEither(syntax.parts);
      case 'repeat':
        return this.#emitRepeat(syntax.part, syntax.min, syntax.max);
      default:
        return this.add(syntax);
    }
  }

  test(text: string): boolean {
    const lower = text.toLowerCase();
    const length = Math.min(lower.length, TEXT_LENGTH_MAX);
    this.#end = lower.length;
    this.#entered = this.#steps.map(() => -1);
    let current: number[] = [];
    for (let place = 0; ; place++) {
      // The expression may begin anywhere.
      if (this.#enter(0, place, current)) return true;
      if (place >= length || (current.length === 0 && this.#isAnchored)) return false;
      const code = lower.charCodeAt(place);
      const next: number[] = [];
      for (const index of current) {
        const step = this.#steps[index];
        if (step?.kind === 'one' && step.accepts(code) && this.#enter(index + 1, place + 1, next)) return true;
      }
      current = next;
    }
  }

  get #isAnchored(): boolean {
    return this.#steps[0]?.kind === 'begin';
  }

  /** Enters the step and all that it leads to without a character. True when the end of the expression is reached. */
  #enter(first: number, place: number, list: number[]): boolean {
    const open = [first];
    for (let index = open.pop(); index !== undefined; index = open.pop()) {
      if (this.#entered[index] === place) continue;
      this.#entered[index] = place;
      const step = this.#steps[index];
      if (step === undefined) continue;
      if (step.kind === 'match') return true;
      if (step.kind === 'split') open.push(...step.to);
      else if (step.kind === 'one') list.push(index);
      else if (step.kind === 'begin' ? place === 0 : place === this.#end) open.push(index + 1);
    }
    return false;
  }

  #split(): number[] {
    const to: number[] = [];
    this.add({ kind: 'split', to });
    return to;
  }

  #emitEither(parts: readonly Syntax[]): void {
    const begins = this.#split();
    const ends: number[][] = [];
    for (const part of parts) {
      begins.push(this.#steps.length);
      this.emit(part);
      ends.push(this.#split());
    }
    for (const end of ends) end.push(this.#steps.length);
  }

  #emitRepeat(part: Syntax, min: number, max: number): void {
    for (let count = 0; count < min; count++) this.emit(part);
    if (max === Infinity) {
      const begin = this.#steps.length;
      const loop = this.#split();
      loop.push(begin + 1);
      this.emit(part);
      this.#split().push(begin);
      loop.push(this.#steps.length);
      return;
    }
    const exits: number[][] = [];
    for (let count = min; count < max; count++) {
      const exit = this.#split();
      exit.push(this.#steps.length);
      exits.push(exit);
      this.emit(part);
    }
    for (const exit of exits) exit.push(this.#steps.length);
  }
}
