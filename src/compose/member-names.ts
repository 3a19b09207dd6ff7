/** What services refer to: networks, volumes, secrets and configs with their names in the swarm. */
import type { Fields } from './fields.ts';
import type { StackNames } from './names.ts';

/** One entry of a section at the top of the file. */
export interface Member {
  /** In the file. */
  readonly key: string;
  /** In the swarm. */
  readonly name: string;
  /** It is there already, and is not the stack's. */
  readonly external: boolean;
  readonly fields: Fields;
}

export type Members = ReadonlyMap<string, Member>;

/** `external: true` with an optional name, or the older `external: {name: ...}`. */
export function readMembers(fields: readonly (readonly [string, Fields])[], names: StackNames): Members {
  return new Map(
    fields.map(([key, own]) => {
      const external = externalOf(own);
      const given = own.text('name');
      if (external?.name !== undefined && given !== undefined)
        own.error('external', 'the name is given twice', 'give it in name, and write external: true');
      const name = external?.name ?? given ?? (external === undefined ? names.scoped(key) : key);
      if (external !== undefined) refuseOthers(own);
      return [key, { key, name, external: external !== undefined, fields: own }];
    }),
  );
}

function externalOf(fields: Fields): { readonly name: string | undefined } | undefined {
  const node = fields.node('external');
  if (node === undefined) return undefined;
  if (node.kind === 'map') return { name: fields.fields('external', { name: 'honoured' })?.text('name') };
  return fields.bool('external') === true ? { name: undefined } : undefined;
}

function refuseOthers(fields: Fields): void {
  for (const key of fields.map.entries.keys())
    if (key !== 'external' && key !== 'name' && !key.startsWith('x-') && fields.has(key))
      fields.error(key, 'what is external is described where it was made', 'leave it out, or leave external out');
}
