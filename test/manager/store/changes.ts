/** Changes of objects, whatever their table. */
import type { Change, ChangeOf, TableName, Tables } from '#manager/store/index.ts';

export function create<Name extends TableName>(table: Name, object: Tables[Name]): Change {
  return change<TableName>('create', table, object);
}

export function update<Name extends TableName>(table: Name, object: Tables[Name]): Change {
  return change<TableName>('update', table, object);
}

export function remove<Name extends TableName>(table: Name, object: Tables[Name]): Change {
  return change<TableName>('remove', table, object);
}

function change<Name extends TableName>(
  kind: Change['kind'],
  table: Name,
  object: Tables[Name],
): { readonly [One in Name]: ChangeOf<One> }[Name] {
  return { kind, table, object };
}
