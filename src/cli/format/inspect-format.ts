/** `inspect`: an array of indented JSON, the same on one line, or a template over Docker's typed object. */
import { encodeJson, indentJson } from '#common/template/encode-json.ts';
import { FUNCTIONS } from '#common/template/functions.ts';
import { ANY, type GoValue } from '#common/template/go-types.ts';
import { Template } from '#common/template/template.ts';
import { TemplateError } from '#common/template/template-error.ts';
import { withDockerErrors } from './list-format.ts';

export interface InspectFormat {
  /** Takes one object. Throws a CliError when the template does not fit it. */
  add(value: GoValue): void;
  /** All that is to be printed. */
  text(): string;
}

export interface InspectFormatOptions {
  /** A template that does not fit the typed object is tried on its JSON, whose names may differ (`.Id` for `.ID`). */
  readonly hasJsonNames?: boolean;
}

/** Throws a CliError for a template that cannot be parsed. */
export function inspectFormat(format: string | undefined, options: InspectFormatOptions = {}): InspectFormat {
  if (format === undefined || format === '') return jsonFormat((text) => indentJson(text));
  if (format === 'json') return jsonFormat((text) => text);
  const template = withDockerErrors(() => new Template(format));
  let out = '';
  return {
    add(value) {
      const render = options.hasJsonNames === true ? renderEither : renderTyped;
      out += withDockerErrors(() => `${render(template, value)}\n`);
    },
    text: () => (out === '' ? '\n' : out),
  };
}

function renderTyped(template: Template, value: GoValue): string {
  return template.render(value);
}

function renderEither(template: Template, value: GoValue): string {
  try {
    return template.render(value);
  } catch (thrown) {
    if (!(thrown instanceof TemplateError)) throw thrown;
    const data: unknown = JSON.parse(encodeJson(value.type, value.data));
    return template.render({ type: ANY, data }, FUNCTIONS, { failsOnMissingKey: true });
  }
}

function jsonFormat(layout: (text: string) => string): InspectFormat {
  const items: string[] = [];
  return {
    add(value) {
      items.push(encodeJson(value.type, value.data));
    },
    text: () => `${layout(`[${items.join(',')}]`)}\n`,
  };
}
