/** `inspect`: an array of indented JSON, the same on one line, or a template over Docker's typed object. */
import { encodeJson, indentJson } from '../../docker-shape/encode-json.ts';
import type { GoValue } from '../../docker-shape/go-types.ts';
import { Template } from '../template/template.ts';
import { withDockerErrors } from './list-format.ts';

export interface InspectFormat {
  /** Takes one object. Throws a CliError when the template does not fit it. */
  add(value: GoValue): void;
  /** All that is to be printed. */
  text(): string;
}

/** Throws a CliError for a template that cannot be parsed. */
export function inspectFormat(format: string | undefined): InspectFormat {
  if (format === undefined || format === '') return jsonFormat((text) => indentJson(text));
  if (format === 'json') return jsonFormat((text) => text);
  const template = withDockerErrors(() => new Template(format));
  let out = '';
  return {
    add(value) {
      out += withDockerErrors(() => `${template.render(value)}\n`);
    },
    text: () => (out === '' ? '\n' : out),
  };
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
