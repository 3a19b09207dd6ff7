/** `--format` of the commands that list: table, json, raw or a template, over the columns that Docker has. */

import { visibleLine } from '#common/readable-text.ts';
import { HEADER_FUNCTIONS } from '#common/template/functions.ts';
import { type GoType, type GoValue, STRING, STRING_MAP, struct } from '#common/template/go-types.ts';
import { Template } from '#common/template/template.ts';
import { TemplateError } from '#common/template/template-error.ts';
import { CliError } from '../cli-errors.ts';
import { alignTabs } from './tab-table.ts';

/** A column, or any other field that a template may ask for. */
export interface Column<Row> {
  /** The column's name in tables; absent for what has none. */
  readonly header?: string;
  readonly value: (row: Row) => unknown;
  /** Text unless said otherwise. */
  readonly type?: GoType;
  /** Docker has none: tables and templates have it, and JSON is as Docker's. Text. */
  readonly isOwn?: boolean;
}

export interface ListView<Row> {
  /** What a template may call with one word: `{{.Label "team"}}`. The word's last part is the header. */
  readonly methods?: Readonly<Record<string, (row: Row, argument: string) => string>>;
  /** Name of the row's type in Docker's messages: `*service.serviceContext`. */
  readonly typeName: string;
  readonly columns: Readonly<Record<string, Column<Row>>>;
  /** Template of the plain table, without the word `table`. */
  readonly table: string;
  /** Template of `--format raw`. */
  readonly raw: string;
  readonly quiet: string;
  readonly quietRaw: string;
}

export interface ListFormatOptions {
  /** As given with `--format`. */
  readonly format: string | undefined;
  readonly quiet: boolean;
  /** `-o json`: one JSON array. */
  readonly asArray?: boolean;
}

/** The text of the list. Throws a CliError for a template that cannot be used. */
export function formatList<Row>(view: ListView<Row>, rows: readonly Row[], options: ListFormatOptions): string {
  if (options.asArray === true)
    return `${new Template('{{json .}}').render(arrayOf(rows.map((row) => rowValue(view, row))))}\n`;
  const { isTable, source } = resolveFormat(view, options);
  const shown = isTable ? inCells(view) : view;
  const values = rows.map((row) => rowValue(shown, row));
  return withDockerErrors(() => {
    const template = new Template(source);
    const body = values.map((value) => `${template.render(value)}\n`).join('');
    if (!isTable) return body;
    return alignTabs(`${template.render(headerValue(view), HEADER_FUNCTIONS)}\n${body}`);
  });
}

/** Docker puts its own words before those of Go's template package. */
export function withDockerErrors<T>(work: () => T): T {
  try {
    return work();
  } catch (thrown) {
    if (thrown instanceof TemplateError) throw new CliError(`template parsing error: ${thrown.message}`);
    throw thrown;
  }
}

interface ResolvedFormat {
  readonly isTable: boolean;
  readonly source: string;
}

function resolveFormat<Row>(view: ListView<Row>, options: ListFormatOptions): ResolvedFormat {
  const format = options.format === undefined || options.format === '' ? 'table' : options.format;
  if (format === 'table')
    return options.quiet ? { isTable: false, source: view.quiet } : { isTable: true, source: view.table };
  if (format === 'raw') return { isTable: false, source: options.quiet ? view.quietRaw : view.raw };
  if (format === 'json') return { isTable: false, source: '{{json .}}' };
  const isTable = format.startsWith('table');
  const source = (isTable ? format.slice('table'.length) : format).trim();
  return { isTable, source: source.replaceAll('\\t', '\t').replaceAll('\\n', '\n') };
}

/**
 * The same for a table, which people read: whatever a node or a user has called itself stays in its cell. Scripts, which
 * ask for JSON or give a template, get what there is.
 */
function inCells<Row>(view: ListView<Row>): ListView<Row> {
  const inCell = (value: unknown): unknown => (typeof value === 'string' ? visibleLine(value) : value);
  const columns = Object.entries(view.columns).map(
    ([name, column]) => [name, { ...column, value: (row: Row) => inCell(column.value(row)) }] as const,
  );
  const methods = Object.entries(view.methods ?? {}).map(
    ([name, method]) => [name, (row: Row, argument: string) => visibleLine(method(row, argument))] as const,
  );
  return {
    ...view,
    columns: Object.fromEntries(columns),
    ...(view.methods === undefined ? {} : { methods: Object.fromEntries(methods) }),
  };
}

function rowValue<Row>(view: ListView<Row>, row: Row): GoValue {
  const names = Object.keys(view.columns).toSorted();
  const methods = Object.entries(view.methods ?? {}).map(
    ([name, method]) => [name, methodType((argument) => method(row, argument))] as const,
  );
  const type = struct(
    view.typeName,
    Object.fromEntries([
      ...names.map((name) => [name, columnType(view.columns[name] as Column<Row>, row)] as const),
      ...methods,
    ]),
  );
  const data: Record<string, unknown> = {};
  for (const name of names)
    Object.defineProperty(data, name, {
      enumerable: true,
      configurable: true,
      get: () => (view.columns[name] as Column<Row>).value(row),
    });
  return { type: { ...type, marshalsItself: true }, data };
}

/** What is computed when a template asks for it is in no JSON. */
function columnType<Row>({ type = STRING, isOwn, value }: Column<Row>, row: Row): GoType {
  return isOwn === true ? { kind: 'function', call: () => ({ type, data: value(row) }) } : type;
}

function headerValue<Row>(view: ListView<Row>): GoValue {
  const named = Object.entries(view.columns).flatMap(([name, { header }]) =>
    header === undefined ? [] : [[name, header]],
  );
  if (view.methods === undefined) return { type: STRING_MAP, data: Object.fromEntries(named) };
  const fields = [
    ...named.map(([name = '']) => [name, STRING] as const),
    ...Object.keys(view.methods).map((name) => [name, methodType(labelHeader)] as const),
  ];
  return { type: struct(view.typeName, Object.fromEntries(fields)), data: Object.fromEntries(named) };
}

function methodType(call: (argument: string) => string): GoType {
  return {
    kind: 'function',
    call: (...values) => {
      const [value, ...more] = values;
      if (value?.type.kind !== 'string' || more.length > 0)
        throw new Error(`wrong number of args: want 1 got ${values.length}`);
      return { type: STRING, data: call(String(value.data)) };
    },
  };
}

/** `com.example.team-name` is headed `team name`. */
function labelHeader(label: string): string {
  return (label.split('.').at(-1) ?? '').replaceAll(/[-_]/g, ' ');
}

function arrayOf(values: readonly GoValue[]): GoValue {
  const element = values[0]?.type ?? STRING;
  return { type: { kind: 'list', element }, data: values.map((value) => value.data) };
}
