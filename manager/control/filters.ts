/** List filters: within one filter any value will do, and every filter that is given has to hold. */
import type { ServiceSpec } from '#gen/swarm/v1/specs.ts';

/** Whether the value contains one of the wanted texts; nothing wanted matches everything. */
export function anyContained(wanted: readonly string[], value: string): boolean {
  return wanted.length === 0 || wanted.some((text) => value.includes(text));
}

export function anyPrefix(wanted: readonly string[], value: string): boolean {
  return wanted.length === 0 || wanted.some((text) => value.startsWith(text));
}

/** "key" asks for the label, "key=value" for that value of it. All have to hold, as in Docker. */
export function allLabels(wanted: readonly string[], labels: Readonly<Record<string, string>>): boolean {
  return wanted.every((text) => {
    const at = text.indexOf('=');
    const key = at < 0 ? text : text.slice(0, at);
    if (!Object.hasOwn(labels, key)) return false;
    return at < 0 || labels[key] === text.slice(at + 1);
  });
}

export function anyOf<T>(wanted: readonly T[], value: T): boolean {
  return wanted.length === 0 || wanted.includes(value);
}

const MODE_NAMES: Readonly<Record<NonNullable<ServiceSpec['mode']>['kind'], string>> = {
  replicated: 'replicated',
  global: 'global',
  replicatedJob: 'replicated-job',
  globalJob: 'global-job',
};

/** As users call it; empty while there is none. */
export function modeName(spec: ServiceSpec | undefined): string {
  return spec?.mode === undefined ? '' : MODE_NAMES[spec.mode.kind];
}

/** Cuts a list into pages for a stream. */
export function* pages<T>(items: Iterable<T>, size: number): Generator<readonly T[]> {
  let page: T[] = [];
  for (const item of items) {
    page.push(item);
    if (page.length === size) {
      yield page;
      page = [];
    }
  }
  if (page.length > 0) yield page;
}
