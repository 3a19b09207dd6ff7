import { FlagValueError } from '../cli-errors.ts';

/** The fields of one line of comma-separated values; a field in double quotes may hold commas, and `""` for a quote. */
export function csvFields(text: string): readonly string[] {
  const fields: string[] = [];
  let at = 0;
  for (;;) {
    if (text[at] === '"') {
      const { field, end } = quotedField(text, at);
      fields.push(field);
      at = end;
    } else {
      const comma = text.indexOf(',', at);
      const field = text.slice(at, comma < 0 ? undefined : comma);
      if (field.includes('"'))
        throw new FlagValueError(
          `parse error on line 1, column ${at + field.indexOf('"') + 1}: bare " in non-quoted field`,
        );
      fields.push(field);
      at += field.length;
    }
    if (at >= text.length) return fields;
    at++;
  }
}

function quotedField(text: string, start: number): { readonly field: string; readonly end: number } {
  let field = '';
  for (let at = start + 1; at < text.length; at++) {
    if (text[at] !== '"') field += text[at];
    else if (text[at + 1] === '"') {
      field += '"';
      at++;
    } else if (at + 1 === text.length || text[at + 1] === ',') return { field, end: at + 1 };
    else break;
  }
  throw new FlagValueError(`parse error on line 1, column ${text.length + 1}: extraneous or missing " in quoted-field`);
}
