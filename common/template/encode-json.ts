import type { GoType, StructData, StructType } from './go-types.ts';
import { isEmpty } from './go-types.ts';

/** How Go writes its zero time. */
const ZERO_TIME = '0001-01-01T00:00:00Z';

export interface JsonOptions {
  /** Write `<`, `>` and `&` as escapes, as Go does unless told not to. */
  readonly escapeHtml: boolean;
}

/** The value as the JSON text that Docker sends: fields in Docker's order, empty optional ones left out. */
export function encodeJson(type: GoType, data: unknown, options: JsonOptions = { escapeHtml: true }): string {
  switch (type.kind) {
    case 'struct': {
      const members: string[] = [];
      structMembers(type, (data ?? {}) as StructData, type.marshalsItself ? { escapeHtml: true } : options, members);
      return `{${members.join(',')}}`;
    }
    case 'pointer':
      return data === undefined || data === null ? 'null' : encodeJson(type.to, data, options);
    case 'list':
      if (data === undefined || data === null) return 'null';
      return `[${(data as readonly unknown[]).map((item) => encodeJson(type.element, item, options)).join(',')}]`;
    case 'map':
      return data === undefined || data === null ? 'null' : mapText(type.element, data as StructData, options);
    case 'time':
      return `"${timestamp(data as number | undefined)}"`;
    case 'bytes':
      return data === undefined || data === null ? 'null' : `"${Buffer.from(data as Uint8Array).toString('base64')}"`;
    case 'string':
      return encodeString((data as string | undefined) ?? '', options);
    case 'bool':
      return data === true ? 'true' : 'false';
    case 'int':
    case 'uint':
    case 'float':
    case 'duration':
      return String((data as number | undefined) ?? 0);
    case 'function':
      return 'null';
    case 'any':
      return anyText(data, options);
  }
}

/** Compact JSON text with line breaks and four spaces a level, as `inspect` prints it. */
export function indentJson(text: string, indent = '    '): string {
  let depth = 0;
  let out = '';
  for (const [token] of text.matchAll(/"(?:[^"\\]|\\.)*"|\{\}|\[\]|[{}[\],:]|[^\s"{}[\],:]+/g)) {
    if (token === '{' || token === '[') out += `${token}\n${indent.repeat(++depth)}`;
    else if (token === '}' || token === ']') out += `\n${indent.repeat(--depth)}${token}`;
    else if (token === ',') out += `,\n${indent.repeat(depth)}`;
    else if (token === ':') out += ': ';
    else out += token;
  }
  return out;
}

function structMembers(type: StructType, data: StructData, options: JsonOptions, members: string[]): void {
  for (const field of type.fields) {
    const value = data[field.name];
    if (field.embedded && field.type.kind === 'struct') {
      structMembers(field.type, (value ?? data) as StructData, options, members);
      continue;
    }
    if (field.type.kind === 'function') continue;
    if (field.omitEmpty && isEmpty(field.type, value)) continue;
    members.push(`${encodeString(field.json ?? field.name, options)}:${encodeJson(field.type, value, options)}`);
  }
}

/** Go writes the keys of a map sorted by their bytes. */
function mapText(element: GoType, data: StructData, options: JsonOptions): string {
  const members = Object.keys(data)
    .toSorted(byBytes)
    .map((key) => `${encodeString(key, options)}:${encodeJson(element, data[key], options)}`);
  return `{${members.join(',')}}`;
}

function anyText(data: unknown, options: JsonOptions): string {
  if (data === undefined || data === null) return 'null';
  if (typeof data === 'string') return encodeString(data, options);
  if (Array.isArray(data)) return `[${data.map((item) => anyText(item, options)).join(',')}]`;
  if (typeof data === 'object') return mapText({ kind: 'any' }, data as StructData, options);
  return String(data);
}

const HTML_ESCAPES = /[<>&\u2028\u2029]/g;
const LINE_ESCAPES = /[\u2028\u2029]/g;

function encodeString(text: string, options: JsonOptions): string {
  return JSON.stringify(text.toWellFormed()).replace(
    options.escapeHtml ? HTML_ESCAPES : LINE_ESCAPES,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}

/** Order of two texts by their UTF-8 bytes, which is that of their code points. */
export function byBytes(a: string, b: string): number {
  const left = Array.from(a);
  const right = Array.from(b);
  for (let i = 0; i < left.length && i < right.length; i++) {
    const difference = (left[i]?.codePointAt(0) ?? 0) - (right[i]?.codePointAt(0) ?? 0);
    if (difference !== 0) return difference;
  }
  return left.length - right.length;
}

/** RFC 3339 with as many decimals of the second as are needed (Go's RFC3339Nano), in UTC. */
export function timestamp(ms: number | undefined): string {
  if (ms === undefined || ms === null) return ZERO_TIME;
  return new Date(ms).toISOString().replace(/\.?0*Z$/, 'Z');
}
