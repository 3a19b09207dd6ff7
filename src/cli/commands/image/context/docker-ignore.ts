/** `.dockerignore`: which files of a directory are no part of the build context, by Docker's rules. */
import { posix } from 'node:path';
import { literal, pathPattern } from '#common/path-pattern.ts';
import { CliError } from '../../../cli-errors.ts';

/** What is known of a path; the paths below a directory need that of the directory. */
export interface Judgement {
  readonly ignored: boolean;
  /** Which of the rules fit the path or a directory above it. */
  readonly fits: readonly boolean[];
}

interface Rule {
  /** `!pattern`: what fits is taken back in. */
  readonly isException: boolean;
  readonly expression: RegExp;
  readonly segments: readonly Segment[];
}

/** One part of a pattern between slashes; `any` stands for any number of parts (`**`). */
type Segment = RegExp | 'any';

export class DockerIgnore {
  readonly #rules: readonly Rule[];

  private constructor(rules: readonly Rule[]) {
    this.#rules = rules;
  }

  /** Throws a CliError for a file that Docker would refuse. */
  static parse(text: string): DockerIgnore {
    const lines = text.replace(/^\ufeff/, '').split('\n');
    return new DockerIgnore(lines.flatMap((line) => patternOf(line)).map(ruleOf));
  }

  /** The same rules, and a last one that takes these paths back in. */
  keeping(paths: readonly string[]): DockerIgnore {
    const exceptions = paths.map((path) => ({
      isException: true,
      expression: new RegExp(`^${quoted(path)}$`, 'u'),
      segments: path.split('/').map((part) => new RegExp(`^${quoted(part)}$`, 'u')),
    }));
    return new DockerIgnore([...this.#rules, ...exceptions]);
  }

  /** Judges a path, given what was said of the directory it is in (nothing, at the top). The last rule that fits decides. */
  judge(path: string, directory: Judgement | undefined): Judgement {
    let ignored = false;
    const fits = this.#rules.map((rule, i) => {
      if (directory?.fits[i] !== true) {
        // A rule that would change nothing is not asked, here as in Docker.
        if (rule.isException !== ignored || !rule.expression.test(path)) return false;
      }
      ignored = !rule.isException;
      return true;
    });
    return { ignored, fits };
  }

  /** Whether an exception may take something back in that lies below an ignored directory. */
  hasExceptionBelow(directory: string): boolean {
    const parts = directory.split('/');
    return this.#rules.some(({ isException, segments }) => isException && reachesBelow(segments, parts));
  }
}

function reachesBelow(segments: readonly Segment[], parts: readonly string[]): boolean {
  for (const [i, part] of parts.entries()) {
    const segment = segments[i];
    if (segment === 'any') return true;
    if (segment?.test(part) !== true) return false;
  }
  return segments.length > parts.length;
}

/** The pattern of a line in its shortest form, with its `!`; none for comments and empty lines. */
function patternOf(line: string): readonly string[] {
  if (line.startsWith('#')) return [];
  const text = line.trim();
  if (text === '') return [];
  const isException = text.startsWith('!');
  const bare = isException ? text.slice(1).trim() : text;
  if (bare === '') throw invalid(text, 'there is nothing after the exclamation mark');
  const clean = posix.normalize(bare).replace(/(?<=.)\/$/, '');
  const relative = clean.length > 1 ? clean.replace(/^\//, '') : clean;
  return [(isException ? '!' : '') + relative];
}

function ruleOf(text: string): Rule {
  const isException = text.startsWith('!');
  const pattern = isException ? text.slice(1) : text;
  const segments = pattern.split('/').map((part): Segment => {
    if (part.includes('**')) return 'any';
    const compiled = pathPattern(part);
    if (compiled === undefined) throw invalid(text, 'syntax error in pattern');
    return compiled;
  });
  return { isException, expression: expressionOf(text, pattern), segments };
}

/** Stars, and after them nothing with a meaning of its own. */
const SUFFIX = /^\*\*([^*?[\]\\]*)$/;

/** `**` stands for any number of directories, also none; at the end for all that lies below. */
function expressionOf(text: string, pattern: string): RegExp {
  const suffix = SUFFIX.exec(pattern)?.[1];
  // Docker compares the ends of the paths: `**foo` also means `a/xfoo`.
  if (suffix !== undefined && !suffix.startsWith('/')) return new RegExp(`^.*${quoted(suffix)}$`, 'su');
  let source = '';
  let rest = pattern;
  while (rest !== '') {
    const stars = /^\*\*\/?/.exec(rest)?.[0];
    if (stars !== undefined) {
      rest = rest.slice(stars.length);
      source += rest === '' ? '.*' : '(?:.*/)?';
      continue;
    }
    // Up to the next `**` outside of a class; everything else is an ordinary pattern.
    const plain = /^(?:\\.|\[(?:\\.|[^\]\\])*\]|(?!\*\*)[^])+/u.exec(rest)?.[0] ?? rest;
    const compiled = pathPattern(plain);
    if (compiled === undefined) throw invalid(text, 'syntax error in pattern');
    source += compiled.source.slice(1, -1);
    rest = rest.slice(plain.length);
  }
  return new RegExp(`^${source}$`, 'su');
}

function quoted(text: string): string {
  return Array.from(text).map(literal).join('');
}

function invalid(pattern: string, why: string): CliError {
  return new CliError(`error reading .dockerignore: ${JSON.stringify(pattern)}: ${why}`, {
    hint: 'write *, ?, ** and [a-z], and ! before what is to be kept',
  });
}
