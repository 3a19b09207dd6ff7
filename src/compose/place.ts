/** Where something stands in a compose file, and what is wrong there. */
import { SwarmError } from '#common/errors.ts';

/** Lines and columns begin with 1. */
export interface Place {
  /** As the user named it; `-` for standard input. */
  readonly file: string;
  readonly line: number;
  readonly column: number;
}

export interface Problem {
  readonly at: Place;
  /** `services.web.ports`; empty for the file as a whole. */
  readonly path: string;
  readonly message: string;
  /** What to do about it. */
  readonly hint: string | undefined;
}

export function placeText({ file, line, column }: Place): string {
  return `${file}:${line}:${column}`;
}

export function problemText({ at, path, message, hint }: Problem): string {
  const where = path === '' ? placeText(at) : `${placeText(at)}: ${path}`;
  return hint === undefined ? `${where}: ${message}` : `${where}: ${message}; ${hint}`;
}

/** In the order in which a reader meets them. */
function byPlace(a: Problem, b: Problem): number {
  if (a.at.file !== b.at.file) return a.at.file < b.at.file ? -1 : 1;
  return a.at.line - b.at.line || a.at.column - b.at.column;
}

/** Problems shown of one file at most: the rest is counted. */
const SHOWN_MAX = 20;
/** Beyond this nothing is added, so that a hostile file cannot fill the memory. */
const KEPT_MAX = 1000;

/** Collects what is wrong, so that a user hears of everything at once. */
export class Problems {
  readonly #errors: Problem[] = [];
  readonly #warnings: Problem[] = [];

  error(at: Place, path: string, message: string, hint?: string): void {
    if (this.#errors.length < KEPT_MAX) this.#errors.push({ at, path, message, hint });
  }

  /** Something that does no harm, but is not what the file says. */
  warn(at: Place, path: string, message: string, hint?: string): void {
    if (this.#warnings.length < KEPT_MAX) this.#warnings.push({ at, path, message, hint });
  }

  get warnings(): readonly Problem[] {
    return this.#warnings;
  }

  get errors(): readonly Problem[] {
    return this.#errors;
  }

  /** @throws SwarmError with every error on a line of its own, if there is one */
  refuse(): void {
    const [first] = this.#errors;
    if (first === undefined) return;
    const lines = this.#errors.toSorted(byPlace).slice(0, SHOWN_MAX).map(problemText);
    const more = this.#errors.length - lines.length;
    if (more > 0) lines.push(`and ${more} more`);
    throw new SwarmError({ code: 'invalid', reason: 'bad-field', field: first.path, message: lines.join('\n') });
  }
}

/** @throws SwarmError for what ends the reading at once */
export function refuseAt(at: Place, path: string, message: string, hint?: string): never {
  throw new SwarmError({
    code: 'invalid',
    reason: 'bad-field',
    field: path,
    message: problemText({ at, path, message, hint: undefined }),
    hint,
  });
}
