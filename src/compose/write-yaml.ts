/** A tree as YAML: what `stack config` prints and a stack is remembered by. */
import { stringify } from 'yaml';
import { child, type MapNode, plain, textNode, withChild } from './tree.ts';

export function writeYaml(root: MapNode): string {
  return stringify(plain(root), { version: '1.2', lineWidth: 0, aliasDuplicateObjects: false });
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
