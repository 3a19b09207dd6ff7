/** `task_id` -> `taskId`, `CreateService` -> `createService`. */
export function camelCase(name: string): string {
  const joined = name.replace(/_+([a-zA-Z0-9])/g, (_match, next: string) => next.toUpperCase());
  return joined.charAt(0).toLowerCase() + joined.slice(1);
}

/** The prefix that the values of an enum bear: `TaskState` -> `TASK_STATE_`. */
export function constantPrefix(enumName: string): string {
  return `${enumName.replace(/([a-z0-9])([A-Z])/g, '$1_$2').toUpperCase()}_`;
}

const RESERVED = new Set(
  (
    'break case catch class const continue debugger default delete do else enum export extends false finally for ' +
    'function if implements import in instanceof interface let new null package private protected public return ' +
    'static super switch this throw true try typeof undefined var void while with yield await async arguments eval ' +
    // Names that the generated functions use themselves.
    'message reader writer kept tag start value key init'
  ).split(' '),
);

/** A name that can be a local variable of a generated function. */
export function localName(property: string): string {
  return RESERVED.has(property) ? `${property}_` : property;
}

/** A comment of the contract as a docstring, indented; nothing for none. */
export function docstring(comment: string | undefined, indent: string): string {
  if (comment === undefined || comment === '') return '';
  const lines = comment.replaceAll('*/', '* /').split('\n');
  if (lines.length === 1) return `${indent}/** ${lines[0]} */\n`;
  return `${indent}/**\n${lines.map((line) => `${indent} * ${line}`.trimEnd()).join('\n')}\n${indent} */\n`;
}
