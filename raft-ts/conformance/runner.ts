import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { ConfChangeRunner } from './confchange-format.ts';
import { type DataCase, parseDataFile } from './data-file.ts';
import { InteractionRunner } from './interaction/commands.ts';
import { runQuorumCase } from './quorum-format.ts';

export interface Difference {
  /** Of the case's command, from 1. */
  readonly line: number;
  readonly command: string;
  readonly expected: string;
  readonly actual: string;
}

export interface FileResult {
  readonly path: string;
  readonly passed: number;
  readonly failed: number;
  readonly firstDifference: Difference | undefined;
}

type Run = (one: DataCase) => string;

const QUORUM = new Set(['committed', 'vote']);
const CONF_CHANGE = new Set(['simple', 'enter-joint', 'leave-joint']);

/** The format shows in the commands; state carries through a file and no further. */
function runnerFor(cases: readonly DataCase[]): Run {
  const first = cases[0]?.command ?? '';
  if (QUORUM.has(first)) return runQuorumCase;
  if (CONF_CHANGE.has(first)) {
    const runner = new ConfChangeRunner();
    return (one) => runner.run(one);
  }
  const runner = new InteractionRunner();
  return (one) => runner.run(one);
}

function actualOutput(run: Run, one: DataCase): string {
  try {
    const text = run(one);
    return text === '' || text.endsWith('\n') ? text : `${text}\n`;
  } catch (thrown) {
    return `panic: ${thrown instanceof Error ? (thrown.stack ?? thrown.message) : String(thrown)}\n`;
  }
}

/** The text with what the cases print now in place of what is expected: to be read before it is believed. */
export function rewritten(text: string): string {
  const cases = parseDataFile(text);
  const run = runnerFor(cases);
  const lines = text.replace(/\n$/, '').split('\n');
  let result = '';
  let at = 0;
  for (const one of cases) {
    result +=
      lines
        .slice(at, one.outputLine - 1)
        .map((line) => `${line}\n`)
        .join('') + actualOutput(run, one);
    at = one.outputLine - 1 + one.expected.split('\n').length - 1;
  }
  return (
    result +
    lines
      .slice(at)
      .map((line) => `${line}\n`)
      .join('')
  );
}

/** Runs all cases of a text; after one that differs the others still run, and may differ because of it. */
export function runText(path: string, text: string): FileResult {
  let cases: readonly DataCase[];
  try {
    cases = parseDataFile(text);
  } catch (thrown) {
    const actual = thrown instanceof Error ? thrown.message : String(thrown);
    const firstDifference = { line: 1, command: 'the file', expected: 'cases\n', actual: `${actual}\n` };
    return { path, passed: 0, failed: 1, firstDifference };
  }
  const run = runnerFor(cases);
  let passed = 0;
  let firstDifference: Difference | undefined;
  for (const one of cases) {
    const actual = actualOutput(run, one);
    if (actual === one.expected) passed++;
    else firstDifference ??= { line: one.line, command: one.command, expected: one.expected, actual };
  }
  return { path, passed, failed: cases.length - passed, firstDifference };
}

/** The data-driven files below a folder (or the file itself): those that have a `----` line. In order of their paths. */
export function dataFiles(path: string): readonly string[] {
  if (statSync(path).isDirectory())
    return readdirSync(path)
      .sort()
      .flatMap((name) => dataFiles(join(path, name)));
  return /(^|\n)----(\r?\n|$)/.test(readFileSync(path, 'utf8')) ? [path] : [];
}

export function runFile(path: string): FileResult {
  return runText(path, readFileSync(path, 'utf8'));
}

/** The lines that differ, each with its neighbours left out: what a reader needs to find the place. */
export function describeDifference(path: string, difference: Difference): string {
  const expected = difference.expected.split('\n');
  const actual = difference.actual.split('\n');
  let at = 0;
  while (at < expected.length && expected[at] === actual[at]) at++;
  const shown = (lines: readonly string[]): string => (at < lines.length - 1 ? (lines[at] ?? '') : '(end of output)');
  return [
    `${path}:${difference.line}: ${difference.command}, line ${at + 1} of the output`,
    `  expected: ${shown(expected)}`,
    `  actual:   ${shown(actual)}`,
  ].join('\n');
}
