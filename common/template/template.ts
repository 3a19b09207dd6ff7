import { type EvaluationOptions, evaluateTemplate } from './evaluate.ts';
import { FUNCTIONS, type Functions } from './functions.ts';
import type { GoValue } from './go-types.ts';
import { type ParsedTemplate, parseTemplate } from './parser.ts';

/** A compiled `--format` template: Go's text/template language with Docker's functions. */
export class Template {
  readonly #parsed: ParsedTemplate;

  /** Throws a TemplateError when the source is no template. */
  constructor(source: string) {
    this.#parsed = parseTemplate(source, new Set(Object.keys(FUNCTIONS)));
  }

  /** The text for one value. Throws a TemplateError when the template asks for what the value has not. */
  render(dot: GoValue, functions: Functions = FUNCTIONS, options: EvaluationOptions = {}): string {
    return evaluateTemplate(this.#parsed, functions, dot, options);
  }
}
