import type { EnumModel } from './model.ts';
import { docstring } from './names.ts';

/** The code of one enum: its values, its type, their names and the check of a number. */
export function emitEnum(model: EnumModel): string {
  const { name, values } = model;
  const entries = values.map((value) => `${docstring(value.comment, '  ')}  ${value.name}: ${value.number},\n`);
  const names = values.map((value) => `  [${value.number}]: '${value.name}',\n`);
  const cases = values.map((value) => `    case ${value.number}:\n`);
  return [
    docstring(model.comment, ''),
    `export const ${name} = {\n${entries.join('')}} as const;\n`,
    `export type ${name} = (typeof ${name})[keyof typeof ${name}];\n\n`,
    `/** The name of each value of ${name}, without the prefix. */\n`,
    `export const ${name}Names: Readonly<Record<${name}, keyof typeof ${name}>> = {\n${names.join('')}};\n\n`,
    `/** Whether the number is a value of ${name} that this release knows. */\n`,
    `export function is${name}(value: number): value is ${name} {\n`,
    `  switch (value) {\n${cases.join('')}      return true;\n    default:\n      return false;\n  }\n}\n`,
  ].join('');
}
