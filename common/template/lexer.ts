/** Cuts a Go template into tokens: text outside of actions, and the words of the actions between `{{` and `}}`. */

export type TokenKind =
  | 'error' // val is the message; nothing follows
  | 'eof'
  | 'text'
  | 'left-delimiter'
  | 'right-delimiter'
  | 'left-parenthesis'
  | 'right-parenthesis'
  | 'space'
  | 'pipe'
  | 'declare' // :=
  | 'assign' // =
  | 'character' // any other printable one, such as a comma
  | 'field' // .Name
  | 'variable' // $name
  | 'identifier' // name of a function
  | 'bool'
  | 'number'
  | 'rune' // 'x'
  | 'string' // "..."
  | 'raw-string' // `...`
  | 'dot'
  | 'nil'
  | 'keyword';

export interface Token {
  readonly kind: TokenKind;
  readonly text: string;
  /** Offset in the template. */
  readonly position: number;
  /** Counted from 1. */
  readonly line: number;
}

const KEYWORDS = new Set(['block', 'break', 'continue', 'define', 'else', 'end', 'if', 'range', 'template', 'with']);

const SPACE = /[ \t\r\n]/;
const WORD = /[\p{L}\p{Nd}_]/u;

export function lex(source: string): readonly Token[] {
  return new Lexer(source).run();
}

class Lexer {
  readonly #source: string;
  readonly #tokens: Token[] = [];
  #at = 0;
  #line = 1;
  #depth = 0;

  constructor(source: string) {
    this.#source = source;
  }

  run(): readonly Token[] {
    while (this.#text() && this.#action());
    return this.#tokens;
  }

  /** Emits source up to `end` as one token and moves there. */
  #emit(kind: TokenKind, end: number): true {
    const text = this.#source.slice(this.#at, end);
    this.#tokens.push({ kind, text, position: this.#at, line: this.#line });
    this.#skipTo(end);
    return true;
  }

  #skipTo(end: number): void {
    for (let i = this.#at; i < end; i++) if (this.#source[i] === '\n') this.#line++;
    this.#at = end;
  }

  #fail(message: string): false {
    this.#tokens.push({ kind: 'error', text: message, position: this.#at, line: this.#line });
    return false;
  }

  /** Text up to the next action; false at the end of the source. Ends inside of the action. */
  #text(): boolean {
    for (;;) {
      const start = this.#source.indexOf('{{', this.#at);
      if (start < 0) {
        if (this.#at < this.#source.length) this.#emit('text', this.#source.length);
        this.#emit('eof', this.#at);
        return false;
      }
      const trims = this.#source[start + 2] === '-' && SPACE.test(this.#source[start + 3] ?? '');
      let end = start;
      if (trims) while (end > this.#at && SPACE.test(this.#source[end - 1] ?? '')) end--;
      if (end > this.#at) this.#emit('text', end);
      this.#skipTo(start);
      const inside = start + (trims ? 3 : 2);
      const afterSpace = trims ? this.#afterSpace(inside) : inside;
      if (!this.#source.startsWith('/*', afterSpace)) {
        this.#emit('left-delimiter', start + 2);
        this.#skipTo(inside);
        this.#depth = 0;
        return true;
      }
      if (!this.#comment(afterSpace)) return false;
    }
  }

  #comment(start: number): boolean {
    const end = this.#source.indexOf('*/', start);
    if (end < 0) return this.#fail('unclosed comment');
    const after = end + 2;
    const trims = SPACE.test(this.#source[after] ?? '') && this.#source.startsWith('-}}', after + 1);
    if (!trims && !this.#source.startsWith('}}', after)) return this.#fail('comment ends before closing delimiter');
    this.#skipTo(trims ? this.#afterSpace(after + 4) : after + 2);
    return true;
  }

  #afterSpace(from: number): number {
    let at = from;
    while (SPACE.test(this.#source[at] ?? '')) at++;
    return at;
  }

  /** The words of one action; false when an error or the end was met. */
  #action(): boolean {
    for (;;) {
      const rest = this.#source.slice(this.#at, this.#at + 4);
      const trims = SPACE.test(rest[0] ?? '') && rest.startsWith('-}}', 1);
      if (trims || rest.startsWith('}}')) {
        if (this.#depth > 0) return this.#fail('unclosed left paren');
        if (trims) this.#skipTo(this.#at + 2);
        this.#emit('right-delimiter', this.#at + 2);
        if (trims) this.#skipTo(this.#afterSpace(this.#at));
        return true;
      }
      if (!this.#word(this.#source[this.#at])) return false;
    }
  }

  #word(character: string | undefined): boolean {
    const source = this.#source;
    if (character === undefined) return this.#fail('unclosed action');
    if (SPACE.test(character)) return this.#space();
    switch (character) {
      case '=':
        return this.#emit('assign', this.#at + 1);
      case ':':
        return source[this.#at + 1] === '=' ? this.#emit('declare', this.#at + 2) : this.#fail('expected :=');
      case '|':
        return this.#emit('pipe', this.#at + 1);
      case '"':
        return this.#quoted('"', 'string', 'unterminated quoted string');
      case "'":
        return this.#quoted("'", 'rune', 'unterminated character constant');
      case '`': {
        const end = source.indexOf('`', this.#at + 1);
        return end < 0 ? this.#fail('unterminated raw quoted string') : this.#emit('raw-string', end + 1);
      }
      case '$':
        return this.#named('variable');
      case '(':
        this.#depth++;
        return this.#emit('left-parenthesis', this.#at + 1);
      case ')':
        if (--this.#depth < 0) return this.#fail('unexpected right paren');
        return this.#emit('right-parenthesis', this.#at + 1);
    }
    if (character === '.' && !/[0-9]/.test(source[this.#at + 1] ?? '')) return this.#field();
    if (/[0-9+.-]/.test(character)) return this.#number();
    if (WORD.test(character)) return this.#identifier();
    if (/[\x20-\x7e]/.test(character)) return this.#emit('character', this.#at + 1);
    return this.#fail(`unrecognized character in action: ${unicodeName(source.codePointAt(this.#at) ?? 0)}`);
  }

  /** A run of blanks, but not the one that begins the closing trim marker. */
  #space(): true {
    let end = this.#afterSpace(this.#at);
    if (this.#source.startsWith('-}}', end)) end--;
    if (end > this.#at) this.#emit('space', end);
    return true;
  }

  #quoted(quote: string, kind: TokenKind, message: string): boolean {
    for (let at = this.#at + 1; at < this.#source.length; at++) {
      const character = this.#source[at];
      if (character === '\\' && this.#source[at + 1] !== '\n') at++;
      else if (character === '\n') break;
      else if (character === quote) return this.#emit(kind, at + 1);
    }
    return this.#fail(message);
  }

  #wordEnd(from: number): number {
    let end = from;
    while (WORD.test(this.#source[end] ?? '')) end++;
    return end;
  }

  /** A word may be followed only by what can end one. */
  #named(kind: TokenKind): boolean {
    const end = this.#wordEnd(this.#at + 1);
    if (!this.#terminates(end)) return this.#badCharacter(end);
    return this.#emit(kind, end);
  }

  #field(): boolean {
    const end = this.#wordEnd(this.#at + 1);
    if (end === this.#at + 1) return this.#emit('dot', end);
    if (!this.#terminates(end)) return this.#badCharacter(end);
    return this.#emit('field', end);
  }

  #identifier(): boolean {
    const end = this.#wordEnd(this.#at);
    if (!this.#terminates(end)) return this.#badCharacter(end);
    const word = this.#source.slice(this.#at, end);
    if (KEYWORDS.has(word)) return this.#emit('keyword', end);
    if (word === 'true' || word === 'false') return this.#emit('bool', end);
    return this.#emit(word === 'nil' ? 'nil' : 'identifier', end);
  }

  #number(): boolean {
    const match = /^[+-]?(?:0[xX][0-9a-fA-F_]+|0[bB][01_]+|0[oO]?[0-7_]+|(?:\d[\d_]*)?\.?\d*(?:[eE][+-]?\d+)?)/.exec(
      this.#source.slice(this.#at),
    );
    const end = this.#at + (match?.[0].length ?? 0);
    const text = this.#source.slice(this.#at, end);
    if (!/\d/.test(text) || WORD.test(this.#source[end] ?? ''))
      return this.#fail(`bad number syntax: ${JSON.stringify(this.#source.slice(this.#at, end + 1))}`);
    return this.#emit('number', end);
  }

  #terminates(end: number): boolean {
    const next = this.#source[end];
    if (next === undefined || SPACE.test(next) || '.,|:)('.includes(next)) return true;
    return this.#source.startsWith('}}', end);
  }

  #badCharacter(at: number): false {
    return this.#fail(`bad character ${unicodeName(this.#source.codePointAt(at) ?? 0)}`);
  }
}

/** `U+0040 '@'`. */
function unicodeName(code: number): string {
  return `U+${code.toString(16).toUpperCase().padStart(4, '0')} '${String.fromCodePoint(code)}'`;
}
