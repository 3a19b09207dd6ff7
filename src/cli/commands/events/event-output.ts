/** How events are printed: a line each, as Docker has them. */
import { visibleLine } from '#common/readable-text.ts';
import { encodeJson } from '#common/template/encode-json.ts';
import { Template } from '#common/template/template.ts';
import type { Event } from '#gen/swarm/v1/objects.ts';
import { EVENT, eventAttributes, eventAuthor, eventShape } from '../../../docker-shape/from-events.ts';
import { withDockerErrors } from '../../format/list-format.ts';

/** @throws CliError for a template that cannot be parsed */
export function eventPrinter(format: string | undefined): (event: Event) => string {
  if (format === undefined || format === '') return plainLine;
  if (format === 'json') return jsonLine;
  const source = format.replaceAll('\\t', '\t').replaceAll('\\n', '\n');
  const template = withDockerErrors(() => new Template(source));
  return (event) => withDockerErrors(() => template.render({ type: EVENT, data: eventShape(event) }));
}

export function jsonLine(event: Event): string {
  return encodeJson(EVENT, eventShape(event));
}

/** `2026-11-21T08:00:00.123000000Z node update 4m0… (availability=drain, name=web-1, by=root@m1, version=1234)`. */
function plainLine(event: Event): string {
  const { type, action, subjectId, version, createdAtMs } = event;
  const time = new Date(createdAtMs).toISOString().replace('Z', '000000Z');
  const known = Object.entries(eventAttributes(event)).sort(([a], [b]) => (a < b ? -1 : 1));
  const details = [...known, ['by', eventAuthor(event)], ['version', String(version)]]
    .map(([key, value]) => `${key}=${value}`)
    .join(', ');
  return [time, type, action, subjectId, `(${details})`]
    .filter((word) => word !== '')
    .map(visibleLine)
    .join(' ');
}
