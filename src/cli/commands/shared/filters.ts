import { invalidField } from '#common/errors.ts';
import type { KeyValue } from '../../values/key-values.ts';

/** Values of each filter. Throws for a filter that the listing does not know. */
export function groupFilters<Name extends string>(
  filters: readonly KeyValue[],
  known: readonly Name[],
): Readonly<Record<Name, readonly string[]>> {
  const groups = Object.fromEntries(known.map((name) => [name, [] as string[]])) as Record<Name, string[]>;
  for (const { key, value = '' } of filters) {
    if (!(known as readonly string[]).includes(key))
      throw invalidField('filter', `invalid filter '${key}'`, `use ${known.join(', ')}`);
    groups[key as Name].push(value);
  }
  return groups;
}
