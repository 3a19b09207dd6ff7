import { evaluateTemplate } from './evaluate.ts';
import type { EvaluationOptions } from './evaluation-options.ts';
import { FUNCTIONS, type Functions } from './functions.ts';
import type { GoValue } from './go-types.ts';
import { type ParsedTemplate, parseTemplate } from './parser.ts';

/** A compiled template in Go's text/template language; of `--format` where no other functions are given. */
export class Template {
  readonly #parsed: ParsedTemplate;
  readonly #functions: Functions;

  /** Throws a TemplateError when the source is no template, or calls what is not among the functions. */
  constructor(source: string, functions: Functions = FUNCTIONS) {
    this.#parsed = parseTemplate(source, new Set(Object.keys(functions)));
    this.#functions = functions;
  }

  /**
   * The text for one value. Throws a TemplateError when the template asks for what the value has not.
   * @param functions of the same names as those it was compiled with
   */
  render(dot: GoValue, functions: Functions = this.#functions, options: EvaluationOptions = {}): string {
    return evaluateTemplate(this.#parsed, functions, dot, options);
  }
}
