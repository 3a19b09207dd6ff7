import { byBytes } from './encode-json.ts';
import type { EvaluationOptions } from './evaluation-options.ts';
import type { Functions, ParameterKind, TemplateFunction } from './functions.ts';
import { BOOL, FLOAT, type GoValue, INT, STRING, type StructData, typeName } from './go-types.ts';
import { dataOf, indirect, intValue, isNil, isTrue, NIL, NO_VALUE, stringValue, structField } from './go-value.ts';
import {
  type Branch,
  type Command,
  type Node,
  nodeText,
  type Operand,
  type Pipeline,
  type Statement,
} from './nodes.ts';
import type { ParsedTemplate } from './parser.ts';
import { printValue } from './print-value.ts';
import { TemplateError } from './template-error.ts';

/** How deep templates may call each other; Go's limit is 100,000 frames of a growing stack, ours is the machine's. */
const CALL_DEPTH_MAX = 1000;

/** Runs the template over `dot` and returns the text. Throws a TemplateError in Go's words. */
export function evaluateTemplate(
  template: ParsedTemplate,
  functions: Functions,
  dot: GoValue,
  options: EvaluationOptions = {},
): string {
  const evaluator = new Evaluator(template, functions, options);
  return evaluator.run(dot);
}

interface Variable {
  readonly name: string;
  value: GoValue;
}

type Flow = 'on' | 'break' | 'continue';

class Evaluator {
  readonly #template: ParsedTemplate;
  readonly #functions: Functions;
  readonly #options: EvaluationOptions;
  #output = '';
  #variables: Variable[] = [];
  #depth = 0;
  #steps = 0;
  /** The template being run, for messages. */
  #name = '';

  constructor(template: ParsedTemplate, functions: Functions, options: EvaluationOptions) {
    this.#template = template;
    this.#functions = functions;
    this.#options = options;
  }

  run(dot: GoValue): string {
    this.#variables = [{ name: '$', value: dot }];
    this.#statements(this.#template.main, dot);
    return this.#output;
  }

  #fail(node: Node, message: string): never {
    const before = this.#template.source.slice(0, node.position);
    const line = before.split('\n').length;
    const column = Buffer.byteLength(before.slice(before.lastIndexOf('\n') + 1));
    const context = nodeText(node);
    throw new TemplateError(
      `template: :${line}:${column}: executing ${JSON.stringify(this.#name)} at <${context}>: ${message}`,
    );
  }

  #statements(list: readonly Statement[], dot: GoValue): Flow {
    for (const statement of list) {
      const flow = this.#statement(statement, dot);
      if (flow !== 'on') return flow;
    }
    return 'on';
  }

  #statement(statement: Statement, dot: GoValue): Flow {
    const { stepsMax = Number.POSITIVE_INFINITY } = this.#options;
    if (++this.#steps > stepsMax) this.#fail(statement, `runs for too long (${stepsMax} steps)`);
    switch (statement.kind) {
      case 'text':
        this.#write(statement, statement.text);
        return 'on';
      case 'action': {
        const value = this.#pipeline(statement.pipeline, dot);
        if (statement.pipeline.variables.length === 0) this.#print(statement, value);
        return 'on';
      }
      case 'if':
      case 'with':
        return this.#conditional(statement, dot);
      case 'range':
        return this.#range(statement, dot);
      case 'template':
        this.#call(statement, dot);
        return 'on';
      case 'break':
      case 'continue':
        return statement.kind;
    }
  }

  #print(node: Node, value: GoValue): void {
    const target = indirect(value);
    if (target.data === undefined && target.type.kind === 'any') this.#write(node, '<no value>');
    else if (target.type.kind === 'function') this.#fail(node, `can't print ${nodeText(node)} of type func`);
    else this.#write(node, printValue(target));
  }

  #write(node: Node, text: string): void {
    this.#checkLength(node, this.#output.length + text.length);
    this.#output += text;
  }

  #checkLength(node: Node, length: number): void {
    const { textMax = Number.POSITIVE_INFINITY } = this.#options;
    if (length > textMax) this.#fail(node, `makes too long a text (over ${textMax} characters)`);
  }

  #conditional(branch: Branch, dot: GoValue): Flow {
    const mark = this.#variables.length;
    const value = this.#pipeline(branch.pipeline, dot);
    let flow: Flow = 'on';
    if (isTrue(value)) flow = this.#statements(branch.body, branch.kind === 'with' ? value : dot);
    else if (branch.otherwise !== undefined) flow = this.#statements(branch.otherwise, dot);
    this.#variables.length = mark;
    return flow;
  }

  #range(branch: Branch, dot: GoValue): Flow {
    const mark = this.#variables.length;
    const value = indirect(this.#pipeline(branch.pipeline, dot));
    const loopMark = this.#variables.length;
    let ran = false;
    for (const [key, item] of this.#items(branch, value)) {
      ran = true;
      this.#setLoopVariables(branch.pipeline, mark, key, item);
      const flow = this.#statements(branch.body, item);
      this.#variables.length = loopMark;
      if (flow === 'break') break;
    }
    let flow: Flow = 'on';
    if (!ran && branch.otherwise !== undefined) flow = this.#statements(branch.otherwise, dot);
    this.#variables.length = mark;
    return flow;
  }

  #items(branch: Branch, value: GoValue): readonly (readonly [GoValue, GoValue])[] {
    const { type } = value;
    if (type.kind === 'list')
      return ((value.data ?? []) as readonly unknown[]).map((data, i) => [intValue(i), { type: type.element, data }]);
    if (type.kind === 'map') {
      const entries = (value.data ?? {}) as StructData;
      const keys = Object.keys(entries).toSorted(byBytes);
      return keys.map((key) => [stringValue(key), { type: type.element, data: entries[key] }]);
    }
    if (type.kind === 'int' || type.kind === 'uint') {
      const count = Math.max(0, dataOf(value) as number);
      const { stepsMax = Number.POSITIVE_INFINITY } = this.#options;
      if (count > stepsMax) this.#fail(branch.pipeline, `runs for too long (${stepsMax} steps)`);
      return Array.from({ length: count }, (_, i) => [intValue(i), intValue(i)]);
    }
    if (type.kind === 'any' && isNil(value)) return [];
    return this.#fail(branch.pipeline, `range can't iterate over ${printValue(value)}`);
  }

  /** One variable takes the element; of two the first takes the key. */
  #setLoopVariables(pipeline: Pipeline, mark: number, key: GoValue, item: GoValue): void {
    const values = pipeline.variables.length > 1 ? [key, item] : [item];
    for (const [i, name] of pipeline.variables.entries()) {
      const value = values[i] as GoValue;
      if (pipeline.assigns) this.#assign(pipeline, name, value);
      else (this.#variables[mark + i] as Variable).value = value;
    }
  }

  #call(statement: Extract<Statement, { kind: 'template' }>, dot: GoValue): void {
    const body = this.#template.named.get(statement.name);
    if (body === undefined) this.#fail(statement, `template ${JSON.stringify(statement.name)} not defined`);
    if (this.#depth >= CALL_DEPTH_MAX) this.#fail(statement, `exceeded maximum template depth (${CALL_DEPTH_MAX})`);
    const argument = statement.pipeline === undefined ? NIL : this.#pipeline(statement.pipeline, dot);
    const outerVariables = this.#variables;
    const outerName = this.#name;
    this.#variables = [{ name: '$', value: argument }];
    this.#name = statement.name;
    this.#depth++;
    this.#statements(body, argument);
    this.#depth--;
    this.#name = outerName;
    this.#variables = outerVariables;
  }

  #pipeline(pipeline: Pipeline, dot: GoValue): GoValue {
    let value: GoValue | undefined;
    for (const command of pipeline.commands) {
      value = this.#command(command, dot, value);
    }
    const result = value ?? NO_VALUE;
    for (const name of pipeline.variables) {
      if (pipeline.assigns) this.#assign(pipeline, name, result);
      else this.#variables.push({ name, value: result });
    }
    return result;
  }

  #assign(node: Node, name: string, value: GoValue): void {
    const variable = this.#variables.findLast((candidate) => candidate.name === name);
    if (variable === undefined) this.#fail(node, `undefined variable: ${name}`);
    variable.value = value;
  }

  #command(command: Command, dot: GoValue, final: GoValue | undefined): GoValue {
    const [first, ...others] = command.operands;
    switch (first.kind) {
      case 'field':
        return this.#path(first, dot, dot, first.path, others, final);
      case 'chain':
        return this.#path(innermost(first), dot, this.#operand(first.of, dot), first.path, others, final);
      case 'variable':
        return this.#path(first, dot, this.#variable(first), first.path, others, final);
      case 'identifier':
        return this.#invoke(command, first, others, dot, final);
      case 'dot':
      case 'nil':
      case 'bool':
      case 'number':
      case 'string':
      case 'pipeline':
        if (others.length > 0 || final !== undefined)
          this.#fail(first, `can't give argument to non-function ${nodeText(first)}`);
        if (first.kind === 'nil') this.#fail(first, 'nil is not a command');
        return this.#operand(first, dot);
    }
  }

  #operand(operand: Operand, dot: GoValue): GoValue {
    switch (operand.kind) {
      case 'dot':
        return dot;
      case 'nil':
        return NIL;
      case 'bool':
        return { type: BOOL, data: operand.value };
      case 'number':
        return { type: operand.isInteger && !/[.eE]/.test(operand.text) ? INT : FLOAT, data: operand.value };
      case 'string':
        return { type: STRING, data: operand.value };
      case 'pipeline':
        return this.#pipeline(operand, dot);
      case 'field':
      case 'variable':
      case 'chain':
      case 'identifier':
        return this.#command({ kind: 'command', position: operand.position, operands: [operand] }, dot, undefined);
    }
  }

  #variable(operand: Extract<Operand, { kind: 'variable' }>): GoValue {
    const variable = this.#variables.findLast((candidate) => candidate.name === operand.name);
    if (variable === undefined) return this.#fail(operand, `undefined variable: ${operand.name}`);
    return variable.value;
  }

  /** Follows `.A.B.C` from `start`; the arguments belong to the last field. */
  #path(
    node: Operand,
    dot: GoValue,
    start: GoValue,
    path: readonly string[],
    others: readonly Operand[],
    final: GoValue | undefined,
  ): GoValue {
    if (path.length === 0) {
      if (others.length > 0 || final !== undefined)
        this.#fail(node, `can't give argument to non-function ${nodeText(node)}`);
      return start;
    }
    let value = start;
    for (const name of path.slice(0, -1)) value = this.#field(node, value, name, undefined);
    const operands = [...others.map((operand) => this.#operand(operand, dot)), ...(final === undefined ? [] : [final])];
    return this.#field(node, value, path.at(-1) as string, operands);
  }

  #field(node: Node, receiver: GoValue, name: string, operands: readonly GoValue[] | undefined): GoValue {
    if (receiver.data === undefined && receiver.type.kind === 'any') return NO_VALUE;
    const target = indirect(receiver);
    const { type } = target;
    const hasOperands = operands !== undefined && operands.length > 0;
    if (type.kind === 'any') this.#fail(node, `nil data; no entry for key ${JSON.stringify(name)}`);
    if (type.kind === 'struct') {
      const field = structField(type, dataOf(target) as StructData, name);
      if (field === undefined) return this.#noField(node, name, receiver);
      if (field.type.kind === 'function') return this.#callField(node, name, field.type.call, operands ?? []);
      if (hasOperands) this.#fail(node, `${name} has arguments but cannot be invoked as function`);
      return field;
    }
    if (type.kind === 'map') {
      if (hasOperands) this.#fail(node, `${name} is not a method but has arguments`);
      const entries = (target.data ?? {}) as StructData;
      if (Object.hasOwn(entries, name)) return { type: type.element, data: entries[name] };
      if (this.#options.failsOnMissingKey === true)
        this.#fail(node, `map has no entry for key ${JSON.stringify(name)}`);
      return NO_VALUE;
    }
    if (type.kind === 'pointer') {
      if (type.to.kind === 'struct' && structField(type.to, {}, name) === undefined)
        return this.#noField(node, name, receiver);
      return this.#fail(node, `nil pointer evaluating ${typeName(type)}.${name}`);
    }
    return this.#noField(node, name, receiver);
  }

  #noField(node: Node, name: string, receiver: GoValue): never {
    return this.#fail(node, `can't evaluate field ${name} in type ${typeName(receiver.type)}`);
  }

  #callField(
    node: Node,
    name: string,
    call: (...operands: readonly GoValue[]) => GoValue,
    operands: readonly GoValue[],
  ): GoValue {
    let value: GoValue;
    try {
      value = call(...operands);
    } catch (thrown) {
      return this.#fail(node, `error calling ${name}: ${thrown instanceof Error ? thrown.message : String(thrown)}`);
    }
    if (typeof value.data === 'string') this.#checkLength(node, value.data.length);
    return value;
  }

  #invoke(
    command: Command,
    callee: Extract<Operand, { kind: 'identifier' }>,
    others: readonly Operand[],
    dot: GoValue,
    final: GoValue | undefined,
  ): GoValue {
    const { name } = callee;
    const called = this.#functions[name];
    if (called === undefined) return this.#fail(callee, `${JSON.stringify(name)} is not a defined function`);
    const count = others.length + (final === undefined ? 0 : 1);
    this.#checkCount(callee, name, called, count);
    if (name === 'and' || name === 'or') return this.#decide(name, others, dot, final);
    const operands = others.map((operand) => this.#operand(operand, dot));
    if (final !== undefined) operands.push(final);
    for (const [i, operand] of operands.entries())
      this.#checkKind(others[i] ?? callee, called.parameters[i] ?? called.rest ?? 'any', operand);
    return this.#callField(command, name, called.call, operands);
  }

  /** `and` and `or` look at no more operands than they need. */
  #decide(name: 'and' | 'or', others: readonly Operand[], dot: GoValue, final: GoValue | undefined): GoValue {
    let value = NO_VALUE;
    for (const operand of others) {
      value = this.#operand(operand, dot);
      if (isTrue(value) === (name === 'or')) return value;
    }
    return final ?? value;
  }

  #checkCount(node: Node, name: string, callee: TemplateFunction, count: number): void {
    const wanted = callee.parameters.length;
    if (callee.rest === undefined ? count === wanted : count >= wanted) return;
    const words = callee.rest === undefined ? String(wanted) : `at least ${wanted}`;
    this.#fail(node, `wrong number of args for ${name}: want ${words} got ${count}`);
  }

  #checkKind(node: Node, kind: ParameterKind, operand: GoValue): void {
    if (kind === 'any') return;
    const target = indirect(operand);
    const matches =
      kind === 'strings'
        ? target.type.kind === 'list' && (target.type.element.kind === 'string' || target.type.element.kind === 'any')
        : target.type.kind === kind;
    if (matches) return;
    if (node.kind === 'number' || node.kind === 'bool' || node.kind === 'string')
      this.#fail(node, constantComplaint(kind, nodeText(node)));
    const wanted = kind === 'strings' ? '[]string' : kind;
    if (target.type.kind === 'any') this.#fail(node, `invalid value; expected ${wanted}`);
    this.#fail(node, `wrong type for value; expected ${wanted}; got ${typeName(target.type)}`);
  }
}

/** A constant that a function does not take is complained of as written. */
function constantComplaint(kind: ParameterKind, text: string): string {
  if (kind === 'strings') return `can't handle ${text} for arg of type []string`;
  return `expected ${kind === 'int' ? 'integer' : kind}; found ${text}`;
}

/** Errors of a chain such as `(.A).B` point to what was evaluated last, which is what is in the parentheses. */
function innermost(operand: Operand): Operand {
  if (operand.kind === 'chain') return innermost(operand.of);
  if (operand.kind !== 'pipeline') return operand;
  const last = operand.commands.at(-1);
  return last === undefined ? operand : innermost(last.operands[0]);
}
