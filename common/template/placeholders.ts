/**
 * Placeholders in specs and in what templated secrets and configs hold: `{{.Task.Slot}}` and the like, with the names
 * and functions that Swarm gives them.
 */
import { BUILTIN_FUNCTIONS, type Functions } from './functions.ts';
import { type GoValue, STRING, STRING_MAP, struct } from './go-types.ts';
import { dataOf, indirect, stringValue } from './go-value.ts';
import { Template } from './template.ts';
import { TemplateError } from './template-error.ts';

/** What placeholders speak of. */
export interface PlaceholderValues {
  readonly service: {
    readonly id: string;
    readonly name: string;
    readonly labels: Readonly<Record<string, string>>;
  };
  readonly node: {
    readonly id: string;
    readonly hostname: string;
    /** In Go's words: `linux`, `amd64`. */
    readonly os: string;
    readonly architecture: string;
  };
  readonly task: {
    readonly id: string;
    readonly name: string;
    /** The number of the slot; of a global service the node's id. */
    readonly slot: string;
  };
}

/** What `secret`, `config` and `env` look up in the template of a secret or config. Throw an Error that says why not. */
export interface PayloadLookups {
  /** By the target as it was declared: `password`, `/etc/app.conf`. */
  readonly secret: (target: string) => string;
  readonly config: (target: string) => string;
  /** Of the container; empty for one that is not set. */
  readonly env: (name: string) => string;
}

const DATA = struct('template.Context', {
  Service: struct('template.Service', { ID: STRING, Name: STRING, Labels: STRING_MAP }),
  Node: struct('template.Node', {
    ID: STRING,
    Hostname: STRING,
    Platform: struct('template.Platform', { Architecture: STRING, OS: STRING }),
  }),
  Task: struct('template.Task', { ID: STRING, Name: STRING, Slot: STRING }),
});

const text = (value: GoValue): string => String(dataOf(indirect(value)));

/** Go's own, and `join SEPARATOR A B ...`, whose arguments Swarm has the other way round than `--format`. */
const PLACEHOLDER_FUNCTIONS: Functions = {
  ...BUILTIN_FUNCTIONS,
  join: {
    parameters: ['string'],
    rest: 'string',
    call: (separator, ...parts) => stringValue(parts.map(text).join(text(separator))),
  },
};

const lookup = (find: (name: string) => string): Functions[string] => ({
  parameters: ['string'],
  call: (name) => stringValue(find(text(name))),
});

const payloadFunctions = ({ secret, config, env }: PayloadLookups): Functions => ({
  ...PLACEHOLDER_FUNCTIONS,
  secret: lookup(secret),
  config: lookup(config),
  env: lookup(env),
});

/** Stands in for whatever a template would look up, where only its form is looked at. */
const ANYTHING: PayloadLookups = { secret: () => '', config: () => '', env: () => '' };

/** One of each, for looking at a template before there is a task. */
const SAMPLE: PlaceholderValues = {
  service: { id: 'serviceid', name: 'service', labels: {} },
  node: { id: 'nodeid', hostname: 'host', os: 'linux', architecture: 'amd64' },
  task: { id: 'taskid', name: 'service.1.taskid', slot: '1' },
};

function goData({ service, node, task }: PlaceholderValues): GoValue {
  return {
    type: DATA,
    data: {
      Service: { ID: service.id, Name: service.name, Labels: service.labels },
      Node: {
        ID: node.id,
        Hostname: node.hostname,
        Platform: { Architecture: node.architecture, OS: node.os },
      },
      Task: { ID: task.id, Name: task.name, Slot: task.slot },
    },
  };
}

/** Far more than a configuration file needs, and done in less than 10 ms. Whoever writes a spec is not trusted with more. */
const EVALUATION = { failsOnMissingKey: true, stepsMax: 20_000, textMax: 2 * 1024 * 1024 };

/**
 * The text with its placeholders filled in. Throws a TemplateError in Go's words for what is no template, and for a
 * name or a label that there is not.
 */
export function fillPlaceholders(source: string, values: PlaceholderValues): string {
  if (!source.includes('{{')) return source;
  return new Template(source, PLACEHOLDER_FUNCTIONS).render(goData(values), undefined, EVALUATION);
}

/** The same for what a templated secret or config holds. */
export function fillPayload(source: string, values: PlaceholderValues, lookups: PayloadLookups): string {
  if (!source.includes('{{')) return source;
  const functions = payloadFunctions(lookups);
  return new Template(source, functions).render(goData(values), functions, EVALUATION);
}

/**
 * What is wrong with placeholders wherever a task would run, in Go's words; undefined when nothing is. Labels are not
 * looked for: the service that has them may be another one tomorrow.
 */
export function placeholderProblem(source: string): string | undefined {
  return problemOf(source, PLACEHOLDER_FUNCTIONS);
}

/** The same for what a templated secret or config holds. */
export function payloadProblem(source: string): string | undefined {
  return problemOf(source, payloadFunctions(ANYTHING));
}

function problemOf(source: string, functions: Functions): string | undefined {
  if (!source.includes('{{')) return undefined;
  try {
    new Template(source, functions).render(goData(SAMPLE), functions, { ...EVALUATION, failsOnMissingKey: false });
    return undefined;
  } catch (error) {
    if (error instanceof TemplateError) return error.message;
    throw error;
  }
}

/** Where a problem is, without Go's words for it: they quote the template, which may be what is secret. */
export function placeOfProblem(problem: string): string {
  const place = /^template: :(\d+)(?::(\d+))?/.exec(problem);
  if (place === null) return 'it has a mistake';
  return `it has a mistake in line ${place[1]}${place[2] === undefined ? '' : `, column ${place[2]}`}`;
}
