/**
 * Files of variables: `.env`, `--env-file` and `env_file` of services. Lines `NAME=value`; `export ` before the name and
 * `#` comments are allowed, values may be in quotes (then over several lines), and outside of single quotes variables
 * are filled in.
 */
import { COMPOSE_LIMITS } from './config.ts';
import { interpolate, type Variables } from './interpolate.ts';
import { type Place, refuseAt } from './place.ts';

/** `value` is undefined for a line with a name alone: the caller's own value is meant. */
export interface EnvEntry {
  readonly name: string;
  readonly value: string | undefined;
}

/**
 * The entries in order. `variables` is what values may refer to besides entries before them.
 * @throws SwarmError with the line
 */
export function parseEnvFile(file: string, content: string, variables: Variables): readonly EnvEntry[] {
  if (Buffer.byteLength(content) > COMPOSE_LIMITS.ENV_FILE_BYTES)
    refuseAt({ file, line: 1, column: 1 }, '', `the file is larger than ${COMPOSE_LIMITS.ENV_FILE_BYTES} bytes`);
  return new EnvReader(file, content, variables).entries();
}

/** Docker's older form, which `format: raw` asks for: lines as they are, nothing is filled in, quotes are a part. */
export function parseRawEnvFile(file: string, content: string): readonly EnvEntry[] {
  const entries: EnvEntry[] = [];
  for (const [i, raw] of lines(content).entries()) {
    const line = raw.trimStart();
    if (line === '' || line.startsWith('#')) continue;
    const at = line.indexOf('=');
    const name = at < 0 ? line : line.slice(0, at);
    if (name === '' || /\s/.test(name))
      refuseAt({ file, line: i + 1, column: 1 }, '', `no variable name on line ${JSON.stringify(line)}`);
    entries.push({ name, value: at < 0 ? undefined : line.slice(at + 1) });
  }
  return entries;
}

function lines(content: string): readonly string[] {
  return content.replace(/^\ufeff/, '').split(/\r?\n/);
}

const LINE = /^(?:export\s+)?([^\s=:#][^\s=:]*)\s*(?:([=:])[^\S\n]*|$)/;

class EnvReader {
  readonly #file: string;
  readonly #lines: readonly string[];
  readonly #variables: Record<string, string | undefined>;
  readonly #entries: EnvEntry[] = [];
  #line = 0;

  constructor(file: string, content: string, variables: Variables) {
    this.#file = file;
    this.#lines = lines(content);
    this.#variables = { ...variables };
  }

  entries(): readonly EnvEntry[] {
    for (; this.#line < this.#lines.length; this.#line++) this.#read((this.#lines[this.#line] ?? '').trimStart());
    return this.#entries;
  }

  #place(): Place {
    return { file: this.#file, line: this.#line + 1, column: 1 };
  }

  #read(line: string): void {
    if (line === '' || line.startsWith('#')) return;
    const match = LINE.exec(line);
    if (match === null) return refuseAt(this.#place(), '', `${JSON.stringify(line.slice(0, 80))} is not NAME=value`);
    const [whole, name = '', separator] = match;
    if (separator === undefined) {
      this.#entries.push({ name, value: undefined });
      return;
    }
    const value = this.#value(line.slice(whole.length));
    this.#entries.push({ name, value });
    // The caller's environment wins over the file, for those who refer to it too.
    this.#variables[name] ??= value;
  }

  #value(rest: string): string {
    const quote = rest[0];
    if (quote === "'" || quote === '"') return this.#quoted(rest.slice(1), quote);
    return this.#filled(rest.replace(/(?:^|\s)#.*$/, '').trim());
  }

  /** Up to the closing quote, which may stand on a later line. */
  #quoted(first: string, quote: string): string {
    const begun = this.#place();
    let text = first;
    for (;;) {
      const end = closing(text, quote);
      if (end >= 0) {
        const after = text.slice(end + 1).trim();
        if (after !== '' && !after.startsWith('#'))
          return refuseAt(
            this.#place(),
            '',
            `unexpected text behind the closing quote: ${JSON.stringify(after.slice(0, 40))}`,
          );
        const inner = text.slice(0, end);
        return quote === "'" ? inner : this.#filled(unescaped(inner));
      }
      this.#line++;
      const next = this.#lines[this.#line];
      if (next === undefined) return refuseAt(begun, '', 'the value has no closing quote');
      text += `\n${next}`;
    }
  }

  #filled(text: string): string {
    const filled = interpolate(text, this.#variables);
    return filled.ok ? filled.text : refuseAt(this.#place(), '', filled.error);
  }
}

function closing(text: string, quote: string): number {
  for (let at = 0; at < text.length; at++) {
    if (text[at] === '\\' && quote === '"') at++;
    else if (text[at] === quote) return at;
  }
  return -1;
}

const ESCAPES: Readonly<Record<string, string>> = { n: '\n', r: '\r', t: '\t', '"': '"', '\\': '\\', $: '$$' };

/** `\$` becomes the dollar's escape, so that it is not filled in later. */
function unescaped(text: string): string {
  return text.replace(/\\(.)/g, (whole, character: string) => ESCAPES[character] ?? whole);
}
