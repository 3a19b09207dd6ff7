/** A tree as YAML: what `stack config` prints and a stack is remembered by. */
import { stringify } from 'yaml';
import { child, type MapNode, plain, textNode, withChild } from './tree.ts';

/**
 * YAML that reads as the same tree. `hasVariables`: the tree's variables were not filled in; otherwise a dollar stands
 * for itself, and is written as what is read as one.
 */
export function writeYaml(root: MapNode, hasVariables = false): string {
  const value = plain(root);
  return stringify(hasVariables ? value : withDollars(value), {
    version: '1.2',
    lineWidth: 0,
    aliasDuplicateObjects: false,
  });
}

function withDollars(value: unknown): unknown {
  if (typeof value === 'string') return value.replaceAll('$', '$$$$');
  if (Array.isArray(value)) return value.map(withDollars);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, withDollars(inner)]));
}

/** Without what secrets hold: whoever may read the stack need not know them. */
export function withoutSecretContents(root: MapNode): MapNode {
  const secrets = child(root, 'secrets');
  if (secrets?.kind !== 'map') return root;
  let out = secrets;
  for (const [name, { value }] of secrets.entries)
    if (value.kind === 'map' && value.entries.has('content'))
      out = withChild(out, name, withChild(value, 'content', textNode('(hidden)', value.at)));
  return withChild(root, 'secrets', out);
}
