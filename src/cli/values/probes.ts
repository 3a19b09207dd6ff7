/**
 * `--liveness-probe` and its like: what is checked, then how, in any order and divided by commas:
 * `http:8080/healthz,interval=5s`, `https:8443`, `tcp:5432,timeout=500ms`, `exec:pg_isready -q`.
 */
import { ExecProbe, HttpHeader, HttpProbe, Probe, TcpProbe } from '#gen/swarm/v1/specs.ts';
import { FlagValueError } from '../cli-errors.ts';
import { csvFields } from './csv.ts';
import { durationMs, unsigned } from './scalars.ts';
import { shellWords } from './shell-words.ts';

const HINT =
  'write http:PORT/PATH, https:PORT/PATH, tcp:PORT or exec:COMMAND, then for example ,interval=5s,timeout=1s';

/** Up to a comma that is neither in quotes nor behind a backslash. */
const COMMAND = /^(?:\\.|'[^']*'|"(?:\\.|[^"\\])*"|[^,'"\\])*/s;

type Check = NonNullable<Probe['check']>;

export function probe(text: string): Probe {
  let check: Check | undefined;
  let host = '';
  const headers: HttpHeader[] = [];
  const rules: { -readonly [Name in keyof Probe]?: Probe[Name] } = {};
  for (const field of probeFields(text)) {
    const [, kind] = /^(https?|tcp|exec):/.exec(field) ?? [];
    if (kind !== undefined) {
      if (check !== undefined) throw new FlagValueError(`checks two things: ${text}`, 'name one');
      check = checkOf(kind, field.slice(kind.length + 1));
      continue;
    }
    const at = field.indexOf('=');
    const value = field.slice(at + 1);
    switch (at < 0 ? field : field.slice(0, at)) {
      case 'interval':
        rules.intervalMs = durationMs(value);
        break;
      case 'timeout':
        rules.timeoutMs = durationMs(value);
        break;
      case 'delay':
        rules.initialDelayMs = durationMs(value);
        break;
      case 'failures':
        rules.failureThreshold = unsigned(value);
        break;
      case 'successes':
        rules.successThreshold = unsigned(value);
        break;
      case 'host':
        host = value;
        break;
      case 'header':
        headers.push(headerOf(value));
        break;
      default:
        throw new FlagValueError(
          `unexpected ${JSON.stringify(field)}`,
          `${HINT}; the settings are interval, timeout, delay, failures, successes, host and header`,
        );
    }
  }
  if (check === undefined) throw new FlagValueError(`says nothing to check: ${JSON.stringify(text)}`, HINT);
  return Probe.create({ ...rules, check: withHttp(check, host, headers) });
}

/**
 * The fields, of which a command that stands first is as a shell would have it: quotes are its own, and so are commas in
 * them.
 */
function probeFields(text: string): readonly string[] {
  if (!text.startsWith('exec:')) return csvFields(text);
  const [command = ''] = COMMAND.exec(text) ?? [];
  const end = command.length;
  // A quote that has no end: what reads the words of the command says so.
  if (end < text.length && text[end] !== ',') return [text];
  return end === text.length ? [command] : [command, ...csvFields(text.slice(end + 1))];
}

function checkOf(kind: string, rest: string): Check {
  if (kind === 'exec') return { kind: 'exec', value: ExecProbe.create({ command: shellWords(rest) }) };
  const [, digits, path = ''] = /^(\d+)(\/.*)?$/.exec(rest) ?? [];
  if (digits === undefined || (kind === 'tcp' && path !== ''))
    throw new FlagValueError(`${JSON.stringify(`${kind}:${rest}`)} is not a check`, HINT);
  const port = unsigned(digits);
  if (kind === 'tcp') return { kind: 'tcp', value: TcpProbe.create({ port }) };
  return { kind: 'http', value: HttpProbe.create({ port, path, scheme: kind }) };
}

function headerOf(text: string): HttpHeader {
  const at = text.indexOf(':');
  if (at <= 0) throw new FlagValueError(`${JSON.stringify(text)} is not a header`, 'write header=Name:value');
  return HttpHeader.create({ name: text.slice(0, at), value: text.slice(at + 1).trim() });
}

function withHttp(check: Check, host: string, headers: readonly HttpHeader[]): Check {
  if (check.kind === 'http') return { kind: 'http', value: { ...check.value, host, headers } };
  if (host !== '' || headers.length > 0)
    throw new FlagValueError(`host and header are for http and https, not for ${check.kind}`, HINT);
  return check;
}
