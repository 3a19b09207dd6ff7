import { lex, type Token, type TokenKind } from './lexer.ts';
import { type Branch, type Command, nodeText, type Operand, type Pipeline, type Statement } from './nodes.ts';
import { TemplateError } from './template-error.ts';
import { unquote } from './unquote.ts';

export interface ParsedTemplate {
  readonly source: string;
  readonly main: readonly Statement[];
  /** What `define` and `block` named. */
  readonly named: ReadonlyMap<string, readonly Statement[]>;
}

/** Parses a template. `functions` are the names that may be called. Throws a TemplateError in Go's words. */
export function parseTemplate(source: string, functions: ReadonlySet<string>): ParsedTemplate {
  return new Parser(source, functions).run();
}

/** What ends a list of statements. */
type Ending = { readonly kind: 'end' } | { readonly kind: 'else' };

const OPERAND_STARTS: ReadonlySet<TokenKind> = new Set<TokenKind>([
  'bool',
  'rune',
  'dot',
  'field',
  'identifier',
  'number',
  'nil',
  'raw-string',
  'string',
  'variable',
  'left-parenthesis',
]);

class Parser {
  readonly #source: string;
  readonly #functions: ReadonlySet<string>;
  readonly #tokens: readonly Token[];
  readonly #named = new Map<string, readonly Statement[]>();
  #at = 0;
  #variables: string[] = ['$'];
  #rangeDepth = 0;
  #actionLine = 0;

  constructor(source: string, functions: ReadonlySet<string>) {
    this.#source = source;
    this.#functions = functions;
    this.#tokens = lex(source);
  }

  run(): ParsedTemplate {
    const main: Statement[] = [];
    while (this.#peek().kind !== 'eof') {
      const statement = this.#statement();
      if (statement === undefined) continue;
      if (statement.kind === 'end' || statement.kind === 'else') this.#fail(`unexpected {{${statement.kind}}}`);
      main.push(statement);
    }
    return { source: this.#source, main, named: this.#named };
  }

  #peek(): Token {
    return this.#tokens[Math.min(this.#at, this.#tokens.length - 1)] as Token;
  }

  #next(): Token {
    const token = this.#peek();
    this.#at++;
    return token;
  }

  #skipSpace(): void {
    while (this.#peek().kind === 'space') this.#at++;
  }

  #nextWord(): Token {
    this.#skipSpace();
    return this.#next();
  }

  #peekWord(): Token {
    this.#skipSpace();
    return this.#peek();
  }

  #fail(message: string): never {
    const line = (this.#tokens[Math.min(Math.max(0, this.#at - 1), this.#tokens.length - 1)] as Token).line;
    throw new TemplateError(`template: :${line}: ${message}`);
  }

  #unexpected(token: Token, context: string): never {
    if (token.kind !== 'error') return this.#fail(`unexpected ${tokenText(token)} in ${context}`);
    let extra = '';
    if (this.#actionLine !== 0 && this.#actionLine !== token.line)
      extra = `${token.text.endsWith(' action') ? '' : ' in action'} started at :${this.#actionLine}`;
    return this.#fail(token.text + extra);
  }

  #expect(kind: TokenKind, context: string): Token {
    const token = this.#nextWord();
    if (token.kind !== kind) this.#unexpected(token, context);
    return token;
  }

  /** One statement, the end of a list, or undefined for a definition. */
  #statement(): Statement | Ending | undefined {
    const token = this.#nextWord();
    if (token.kind === 'text') return { kind: 'text', position: token.position, text: token.text };
    if (token.kind !== 'left-delimiter') return this.#unexpected(token, 'input');
    this.#actionLine = token.line;
    const statement = this.#action();
    this.#actionLine = 0;
    return statement;
  }

  #action(): Statement | Ending | undefined {
    const token = this.#peekWord();
    if (token.kind !== 'keyword')
      return { kind: 'action', position: token.position, pipeline: this.#pipeline('command', 'right-delimiter') };
    this.#next();
    switch (token.text) {
      case 'end':
        this.#expect('right-delimiter', 'end');
        return { kind: 'end' };
      case 'else':
        return this.#else();
      case 'if':
      case 'range':
      case 'with':
        return this.#branch(token.text, token.position);
      case 'template':
        return this.#call();
      case 'block':
        return this.#block();
      case 'define':
        return this.#define();
      default:
        return this.#jump(token);
    }
  }

  #jump(token: Token): Statement {
    const kind = token.text === 'break' ? 'break' : 'continue';
    const following = this.#nextWord();
    if (following.kind !== 'right-delimiter') this.#unexpected(following, `{{${kind}}}`);
    if (this.#rangeDepth === 0) this.#fail(`{{${kind}}} outside {{range}}`);
    return { kind, position: token.position };
  }

  /** `else` ends here; of `else if` and `else with` the second word is left to be read. */
  #else(): Ending {
    const following = this.#peekWord();
    if (following.kind !== 'keyword' || (following.text !== 'if' && following.text !== 'with'))
      this.#expect('right-delimiter', 'else');
    return { kind: 'else' };
  }

  #statements(): { readonly list: readonly Statement[]; readonly ending: Ending } {
    const list: Statement[] = [];
    while (this.#peek().kind !== 'eof') {
      const statement = this.#statement();
      if (statement === undefined) this.#fail('unexpected {{define}}');
      if (statement.kind === 'end' || statement.kind === 'else') return { list, ending: statement };
      list.push(statement);
    }
    this.#next();
    return this.#fail('unexpected EOF');
  }

  #branch(kind: Branch['kind'], position: number): Branch {
    const outerVariables = this.#variables.length;
    const pipeline = this.#pipeline(kind, 'right-delimiter');
    if (kind === 'range') this.#rangeDepth++;
    const { list: body, ending } = this.#statements();
    if (kind === 'range') this.#rangeDepth--;
    let otherwise: readonly Statement[] | undefined;
    if (ending.kind === 'else') {
      const nested = this.#peekWord();
      if (nested.kind === 'keyword' && nested.text === kind && kind !== 'range') {
        this.#next();
        otherwise = [this.#branch(kind, nested.position)];
      } else {
        const rest = this.#statements();
        if (rest.ending.kind !== 'end') this.#fail('expected end; found {{else}}');
        otherwise = rest.list;
      }
    }
    this.#variables.length = outerVariables;
    return { kind, position, pipeline, body, otherwise };
  }

  #templateName(context: string): { readonly name: string; readonly position: number } {
    const token = this.#nextWord();
    if (token.kind !== 'string' && token.kind !== 'raw-string') return this.#unexpected(token, context);
    return { name: unquote(token.text) ?? this.#fail('invalid syntax'), position: token.position };
  }

  #call(): Statement {
    const { name, position } = this.#templateName('template clause');
    if (this.#peekWord().kind === 'right-delimiter') {
      this.#next();
      return { kind: 'template', position, name, pipeline: undefined };
    }
    return { kind: 'template', position, name, pipeline: this.#pipeline('template clause', 'right-delimiter') };
  }

  #block(): Statement {
    const { name, position } = this.#templateName('block clause');
    const pipeline = this.#pipeline('block clause', 'right-delimiter');
    this.#body(name, 'block clause');
    return { kind: 'template', position, name, pipeline };
  }

  #define(): undefined {
    const { name } = this.#templateName('define clause');
    this.#expect('right-delimiter', 'define clause');
    this.#body(name, 'define clause');
  }

  /** The body of a definition, which sees no variables of its surroundings. */
  #body(name: string, context: string): void {
    const outer = this.#variables;
    const outerDepth = this.#rangeDepth;
    this.#variables = ['$'];
    this.#rangeDepth = 0;
    const { list, ending } = this.#statements();
    if (ending.kind !== 'end') this.#fail(`unexpected {{else}} in ${context}`);
    this.#named.set(name, list);
    this.#variables = outer;
    this.#rangeDepth = outerDepth;
  }

  #pipeline(context: string, end: TokenKind): Pipeline {
    const position = this.#peekWord().position;
    const { variables, assigns } = this.#declarations(context);
    const commands: Command[] = [];
    for (;;) {
      const token = this.#nextWord();
      if (token.kind === end) break;
      if (!OPERAND_STARTS.has(token.kind)) this.#unexpected(token, context);
      this.#at--;
      commands.push(this.#command());
    }
    this.#checkPipeline(commands, context);
    return { kind: 'pipeline', position, variables, assigns, commands };
  }

  #declarations(context: string): { readonly variables: readonly string[]; readonly assigns: boolean } {
    const variables: string[] = [];
    for (;;) {
      const start = this.#at;
      const variable = this.#peekWord();
      if (variable.kind !== 'variable') return { variables, assigns: false };
      this.#next();
      const following = this.#peekWord();
      if (following.kind === 'assign' || following.kind === 'declare') {
        this.#next();
        variables.push(variable.text);
        this.#variables.push(variable.text);
        return { variables, assigns: following.kind === 'assign' };
      }
      if (following.kind !== 'character' || following.text !== ',') {
        this.#at = start;
        return { variables, assigns: false };
      }
      this.#next();
      variables.push(variable.text);
      this.#variables.push(variable.text);
      if (context !== 'range' || variables.length >= 2) this.#fail(`too many declarations in ${context}`);
      if (this.#peekWord().kind !== 'variable') this.#fail('range can only initialize variables');
    }
  }

  #checkPipeline(commands: readonly Command[], context: string): void {
    if (commands.length === 0) this.#fail(`missing value for ${context}`);
    for (const [index, command] of commands.entries()) {
      const kind = command.operands[0].kind;
      if (index > 0 && (kind === 'bool' || kind === 'dot' || kind === 'nil' || kind === 'number' || kind === 'string'))
        this.#fail(`non executable command in pipeline stage ${index + 1}`);
    }
  }

  #command(): Command {
    const position = this.#peekWord().position;
    const operands: Operand[] = [];
    for (;;) {
      this.#skipSpace();
      const operand = this.#operand();
      if (operand !== undefined) operands.push(operand);
      const token = this.#next();
      if (token.kind === 'space') continue;
      if (token.kind === 'right-delimiter' || token.kind === 'right-parenthesis') this.#at--;
      else if (token.kind !== 'pipe') this.#unexpected(token, 'operand');
      break;
    }
    const [first, ...others] = operands;
    if (first === undefined) return this.#fail('empty command');
    return { kind: 'command', position, operands: [first, ...others] };
  }

  #operand(): Operand | undefined {
    const term = this.#term();
    if (term === undefined || this.#peek().kind !== 'field') return term;
    const position = this.#peek().position;
    const path: string[] = [];
    while (this.#peek().kind === 'field') path.push(this.#next().text.slice(1));
    if (term.kind === 'field' || term.kind === 'variable') return { ...term, position, path: [...term.path, ...path] };
    if (term.kind === 'identifier' || term.kind === 'chain' || term.kind === 'pipeline')
      return { kind: 'chain', position, of: term, path };
    return this.#fail(`unexpected . after term ${JSON.stringify(nodeText(term))}`);
  }

  #term(): Operand | undefined {
    const token = this.#nextWord();
    const { kind, text, position } = token;
    if (kind === 'identifier') {
      if (!this.#functions.has(text)) this.#fail(`function ${JSON.stringify(text)} not defined`);
      return { kind, position, name: text };
    }
    if (kind === 'variable') {
      if (!this.#variables.includes(text)) this.#fail(`undefined variable ${JSON.stringify(text)}`);
      return { kind, position, name: text, path: [] };
    }
    if (kind === 'dot' || kind === 'nil') return { kind, position };
    if (kind === 'field') return { kind, position, path: [text.slice(1)] };
    if (kind === 'left-parenthesis') return this.#pipeline('parenthesized pipeline', 'right-parenthesis');
    const constant = this.#constant(token);
    if (constant === undefined) this.#at--;
    return constant;
  }

  #constant(token: Token): Operand | undefined {
    const { kind, text, position } = token;
    if (kind === 'bool') return { kind, position, value: text === 'true' };
    if (kind === 'number') return this.#numberTerm(token);
    if (kind === 'string' || kind === 'raw-string') {
      const value = unquote(text) ?? this.#fail('invalid syntax');
      return { kind: 'string', position, value, text };
    }
    if (kind !== 'rune') return undefined;
    const value = unquote(text)?.codePointAt(0) ?? this.#fail(`malformed character constant: ${text}`);
    return { kind: 'number', position, value, isInteger: true, text };
  }

  #numberTerm(token: Token): Operand {
    const text = token.text.replaceAll('_', '');
    const sign = text.startsWith('-') ? -1 : 1;
    const bare = text.replace(/^[+-]/, '');
    const octal = /^0[0-7]+$/.test(bare);
    const value = sign * (octal ? Number.parseInt(bare, 8) : Number(bare));
    if (Number.isNaN(value)) this.#fail(`bad number syntax: ${JSON.stringify(token.text)}`);
    const isInteger = Number.isInteger(value);
    return { kind: 'number', position: token.position, value, isInteger, text: token.text };
  }
}

function tokenText(token: Token): string {
  if (token.kind === 'eof') return 'EOF';
  if (token.kind === 'keyword') return `<${token.text}>`;
  return token.text.length > 10 ? `${JSON.stringify(token.text.slice(0, 10))}...` : JSON.stringify(token.text);
}
