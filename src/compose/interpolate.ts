/**
 * Variables in values: `$NAME`, `${NAME}`, `${NAME:-default}`, `${NAME-default}`, `${NAME:?message}`, `${NAME?message}`,
 * `${NAME:+replacement}`, `${NAME+replacement}`, nested to any sane depth; `$$` is a dollar. With a colon an empty
 * variable counts as one that is not set.
 */
import { COMPOSE_LIMITS } from './config.ts';
import { type Place, type Problems, refuseAt } from './place.ts';
import { type ComposeNode, listNode, mapNode } from './tree.ts';

export type Variables = Readonly<Record<string, string | undefined>>;

export type Interpolated =
  | { readonly ok: true; readonly text: string; readonly unset: readonly string[] }
  | { readonly ok: false; readonly error: string };

/** Fills variables into one text. */
export function interpolate(text: string, variables: Variables): Interpolated {
  const unset: string[] = [];
  try {
    return { ok: true, text: new Scanner(text, variables, unset).all(), unset };
  } catch (thrown) {
    if (thrown instanceof InterpolationError) return { ok: false, error: thrown.message };
    throw thrown;
  }
}

class InterpolationError extends Error {}

const NAME = /[_a-zA-Z][_a-zA-Z0-9]*/y;
const OPERATORS = [':-', ':?', ':+', '-', '?', '+'] as const;

class Scanner {
  readonly #text: string;
  readonly #variables: Variables;
  readonly #unset: string[];
  #at = 0;

  constructor(text: string, variables: Variables, unset: string[]) {
    this.#text = text;
    this.#variables = variables;
    this.#unset = unset;
  }

  all(): string {
    return this.#until(undefined, 0, true);
  }

  /**
   * Text up to the closing brace, or to the end. What is not `wanted` is read and not filled in: its variables need not
   * be set.
   */
  #until(end: '}' | undefined, depth: number, wanted: boolean): string {
    if (depth > COMPOSE_LIMITS.INTERPOLATION_DEPTH) throw new InterpolationError('variables are nested too deep');
    let out = '';
    for (;;) {
      const character = this.#text[this.#at];
      if (character === undefined) {
        if (end !== undefined)
          throw new InterpolationError(`invalid interpolation format: } is missing in ${quoted(this.#text)}`);
        return out;
      }
      if (character === end) return out;
      this.#at++;
      out += character === '$' ? this.#variable(depth, wanted) : character;
    }
  }

  #variable(depth: number, wanted: boolean): string {
    if (this.#text[this.#at] === '$') {
      this.#at++;
      return '$';
    }
    if (this.#text[this.#at] !== '{') {
      const name = this.#name();
      return wanted ? this.#valueOf(name) : '';
    }
    this.#at++;
    const name = this.#name();
    if (this.#text[this.#at] === '}') {
      this.#at++;
      return wanted ? this.#valueOf(name) : '';
    }
    const operator = OPERATORS.find((one) => this.#text.startsWith(one, this.#at));
    if (operator === undefined) throw this.#badFormat();
    this.#at += operator.length;
    return this.#operate(name, operator, depth, wanted);
  }

  #operate(name: string, operator: (typeof OPERATORS)[number], depth: number, wanted: boolean): string {
    const value = this.#own(name);
    const isThere = value !== undefined && (value !== '' || !operator.startsWith(':'));
    const replaces = operator.endsWith('+');
    const takesWord = wanted && isThere === replaces;
    const word = this.#until('}', depth + 1, takesWord);
    this.#at++;
    if (!wanted) return '';
    if (operator.endsWith('?')) {
      if (isThere) return value;
      throw new InterpolationError(`required variable ${name} is missing a value${word === '' ? '' : `: ${word}`}`);
    }
    if (replaces) return isThere ? word : '';
    return isThere ? value : word;
  }

  #name(): string {
    NAME.lastIndex = this.#at;
    const name = NAME.exec(this.#text)?.[0];
    if (name === undefined) throw this.#badFormat();
    this.#at += name.length;
    return name;
  }

  #badFormat(): InterpolationError {
    return new InterpolationError(`invalid interpolation format: ${quoted(this.#text)}; a dollar itself is written $$`);
  }

  #own(name: string): string | undefined {
    return Object.hasOwn(this.#variables, name) ? this.#variables[name] : undefined;
  }

  #valueOf(name: string): string {
    const value = this.#own(name);
    if (value === undefined) this.#unset.push(name);
    return value ?? '';
  }
}

function quoted(text: string): string {
  return JSON.stringify(text.length > 80 ? `${text.slice(0, 77)}...` : text);
}

/** Fills variables into every value of a tree; keys are left alone. Counts what it makes, over all trees of a project. */
export class Interpolator {
  readonly #problems: Problems;
  readonly #warned = new Set<string>();
  #characters = 0;

  constructor(problems: Problems) {
    this.#problems = problems;
  }

  tree(node: ComposeNode, variables: Variables, path = ''): ComposeNode {
    if (node.kind === 'scalar') return this.#scalar(node, variables, path);
    if (node.kind === 'list')
      return listNode(
        node.items.map((item, i) => this.tree(item, variables, `${path}[${i}]`)),
        node.at,
        node.tag,
      );
    const entries = [...node.entries].map(
      ([key, { keyAt, value }]) =>
        [key, { keyAt, value: this.tree(value, variables, path === '' ? key : `${path}.${key}`) }] as const,
    );
    return mapNode(entries, node.at, node.tag);
  }

  #scalar(node: ComposeNode & { readonly kind: 'scalar' }, variables: Variables, path: string): ComposeNode {
    const { value, at } = node;
    if (typeof value !== 'string' || !value.includes('$')) return node;
    const filled = interpolate(value, variables);
    if (!filled.ok) {
      this.#problems.error(at, path, filled.error);
      return node;
    }
    this.#characters += filled.text.length;
    if (this.#characters > COMPOSE_LIMITS.INTERPOLATED_CHARACTERS)
      refuseAt(at, path, 'variables make the file too large', 'leave large values to env_file or configs');
    for (const name of filled.unset) this.#warnUnset(name, at, path);
    return { ...node, value: filled.text, text: filled.text };
  }

  #warnUnset(name: string, at: Place, path: string): void {
    if (this.#warned.has(name)) return;
    this.#warned.add(name);
    this.#problems.warn(
      at,
      path,
      `the variable ${name} is not set: it counts as an empty text`,
      `set it, give a default (\${${name}:-value}), or write $$${name} for the text itself`,
    );
  }
}
